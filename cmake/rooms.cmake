# A room is one folder under perch/ and one static library, perch::<room>, that links only rooms
# below it. tests/structure checks the same of the includes.
#   perch_add_room(layers DEPENDS core LIBRARIES fmt::fmt)
function(perch_add_room room)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/kernels/")
  add_library(perch_${room} STATIC ${sources})
  add_library(perch::${room} ALIAS perch_${room})
  set_target_properties(perch_${room} PROPERTIES EXPORT_NAME ${room} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(perch_${room} PUBLIC cxx_std_20)
  target_include_directories(perch_${room} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  list(TRANSFORM ARG_DEPENDS PREPEND perch_ OUTPUT_VARIABLE lower)
  target_link_libraries(perch_${room} PUBLIC ${lower} PRIVATE ${ARG_LIBRARIES} $<BUILD_INTERFACE:perch_options>)
  # What libFuzzer is guided by, in the readers alone: a program of tests is half as large without.
  if(PERCH_FUZZ)
    target_compile_options(perch_${room} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  set_property(GLOBAL APPEND PROPERTY PERCH_ROOMS perch_${room})
endfunction()
