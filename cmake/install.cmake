# Install rules: libraries, headers, find_package(clmoe), pkg-config, licences.
include(CMakePackageConfigHelpers)

install(TARGETS clmoe clmoe_static EXPORT clmoe_targets
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY include/clmoe DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE cmake/third-party-notices.txt DESTINATION "${CMAKE_INSTALL_DOCDIR}")

set(config_folder "${CMAKE_INSTALL_LIBDIR}/cmake/clmoe")
install(EXPORT clmoe_targets NAMESPACE clmoe:: FILE clmoe-targets.cmake DESTINATION "${config_folder}")
configure_package_config_file(cmake/clmoe-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/clmoe-config.cmake"
    INSTALL_DESTINATION "${config_folder}")
# Within a major version the interface only grows.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/clmoe-config-version.cmake" COMPATIBILITY SameMajorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/clmoe-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/clmoe-config-version.cmake"
    DESTINATION "${config_folder}")

# The file finds its prefix from its own place, so that an installed tree can be moved.
foreach(folder LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
        set(pc_${folder} "${CMAKE_INSTALL_${folder}}")
    else()
        set(pc_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
    endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
    set(pc_prefix "\${pcfiledir}/${up}")
    string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
endif()
set(pc_requires "") # where OpenCL is opened at run time only headers are needed, and not every system describes them
if(NOT CLMOE_LOAD_OPENCL)
    set(pc_requires "OpenCL")
endif()
set(pc_libs_private "")
foreach(library IN LISTS CLMOE_LIBM CMAKE_DL_LIBS)
    string(APPEND pc_libs_private "-l${library} ")
endforeach()
string(APPEND pc_libs_private "-pthread")
configure_file(cmake/clmoe.pc.in "${CMAKE_CURRENT_BINARY_DIR}/clmoe.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/clmoe.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
