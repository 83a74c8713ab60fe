# Compile options that every target of perch shares; none of them reaches a user's project.
add_library(perch_options INTERFACE)
target_compile_features(perch_options INTERFACE cxx_std_20)
target_compile_options(perch_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-align -Wno-missing-field-initializers)
if(PERCH_WARNINGS_AS_ERRORS)
  target_compile_options(perch_options INTERFACE -Werror)
endif()
if(PERCH_SANITIZE)
  target_compile_options(perch_options INTERFACE -fsanitize=${PERCH_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(perch_options INTERFACE -fsanitize=${PERCH_SANITIZE})
endif()
