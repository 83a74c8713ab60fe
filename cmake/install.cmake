# cmake --install: libraries, headers, the command line, the embedded data set, and the package that
# find_package(perch) reads.
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY PERCH_ROOMS)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/perch)
install(TARGETS ${rooms} perch EXPORT perch-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT perch-targets NAMESPACE perch:: DESTINATION ${package_dir})
install(DIRECTORY perch TYPE INCLUDE FILES_MATCHING PATTERN "*.h" PATTERN kernels EXCLUDE)
install(DIRECTORY datasets/cifar10_mini DESTINATION ${CMAKE_INSTALL_DATADIR}/perch)
install(FILES python/perch_keras.py DESTINATION ${CMAKE_INSTALL_DATADIR}/perch/python)
install(FILES LICENSE README.md CHANGELOG.md TYPE DOC)
if(TARGET perch_app)
  install(TARGETS perch_app)
endif()

configure_package_config_file(cmake/perch-config.cmake.in ${PROJECT_BINARY_DIR}/perch-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/perch-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/perch-config.cmake ${PROJECT_BINARY_DIR}/perch-config-version.cmake
  DESTINATION ${package_dir})
