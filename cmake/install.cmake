# Install rules: libraries, headers, find_package(clmoe), pkg-config, licences.
include(CMakePackageConfigHelpers)

install(TARGETS clmoe clmoe_static EXPORT clmoe_targets
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(TARGET clmoe_model)
    set_target_properties(clmoe_model PROPERTIES INSTALL_RPATH "$ORIGIN") # the core lies beside it
    install(TARGETS clmoe_model clmoe_model_static EXPORT clmoe_targets
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
set(not_installed "")
if(NOT TARGET clmoe_model)
    set(not_installed PATTERN clmoe_model.h EXCLUDE)
endif()
install(DIRECTORY include/clmoe DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h" ${not_installed})
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
set(pc_names clmoe)
if(TARGET clmoe_model)
    list(APPEND pc_names clmoe_model)
endif()
foreach(name IN LISTS pc_names)
    configure_file(cmake/${name}.pc.in "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc" @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()
