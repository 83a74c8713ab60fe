# OpenBLAS is loaded at run time (perch/core/blas_library.h). PERCH_OPENBLAS is what to load: the
# SONAME where the loader's own folders lead to the library found here, as with Debian's
# alternatives, and else, for an OpenBLAS of the user's, its path.
find_package(OpenBLAS REQUIRED)
set(openblas_library "${OpenBLAS_LIBRARIES}")
if(TARGET OpenBLAS::OpenBLAS)
  get_target_property(openblas_library OpenBLAS::OpenBLAS LOCATION)
endif()
execute_process(COMMAND ${CMAKE_READELF} -d "${openblas_library}"
  OUTPUT_VARIABLE openblas_dynamic ERROR_QUIET)
if(NOT openblas_dynamic MATCHES "\\(SONAME\\)[^[]*\\[([^]]+)\\]")
  message(FATAL_ERROR "OpenBLAS: ${openblas_library} is not a shared library, and perch loads it at "
    "run time: install one (Debian: libopenblas-pthread-dev), or name its package with OpenBLAS_DIR")
endif()
set(openblas_soname ${CMAKE_MATCH_1})
file(REAL_PATH "${openblas_library}" openblas_found)
cmake_path(GET openblas_library PARENT_PATH openblas_folder)
cmake_path(SET PERCH_OPENBLAS NORMALIZE "${openblas_folder}/${openblas_soname}")
foreach(folder ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES})
  file(REAL_PATH "${folder}/${openblas_soname}" openblas_in_folder)
  if(openblas_in_folder STREQUAL openblas_found)
    set(PERCH_OPENBLAS ${openblas_soname})
  endif()
endforeach()
