# What `cmake --install` puts where, and what find_package(terrazzo) and pkg-config find there. Paths are relative to the
# folder the package is found in, so that an installed tree can be moved. Users need neither fmt nor CUDA's headers.
include(CMakePackageConfigHelpers)

set(terrazzo_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/terrazzo)
set(terrazzo_softgpu_dir ${CMAKE_INSTALL_LIBDIR}/terrazzo/softgpu)

install(TARGETS terrazzo terrazzo_static EXPORT terrazzo_targets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/terrazzo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The documentation lies as in the repository, so that the links in it lead somewhere.
install(FILES LICENSE README.md CHANGELOG.md CONTRIBUTING.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY include/terrazzo DESTINATION ${CMAKE_INSTALL_DOCDIR}/include FILES_MATCHING PATTERN "*.h*")

if(TARGET terrazzo_command)
  install(TARGETS terrazzo_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET terrazzo_manual)
  set(generated ${PROJECT_BINARY_DIR}/share/terrazzo)
  install(FILES ${generated}/terrazzo.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${generated}/terrazzo.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          RENAME terrazzo)
  install(FILES ${generated}/_terrazzo DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${generated}/terrazzo.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

# A plug-in for PyTorch: opened by path, never linked.
if(TARGET terrazzo_torch)
  install(TARGETS terrazzo_torch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# The software GPU, chosen by path: in a folder of its own, since its libraries have CUDA's names.
foreach(target IN ITEMS softgpu_cuda softgpu_cublas)
  if(TARGET ${target})
    install(TARGETS ${target} LIBRARY DESTINATION ${terrazzo_softgpu_dir} RUNTIME DESTINATION ${terrazzo_softgpu_dir})
  endif()
endforeach()
if(TARGET softgpu_cublas)
  install(FILES ${PROJECT_BINARY_DIR}/lib/softgpu/libcublas.so.12 DESTINATION ${terrazzo_softgpu_dir})
endif()

install(EXPORT terrazzo_targets NAMESPACE terrazzo:: DESTINATION ${terrazzo_cmake_dir} FILE terrazzoTargets.cmake)
configure_package_config_file(cmake/terrazzoConfig.cmake.in ${PROJECT_BINARY_DIR}/terrazzoConfig.cmake
                              INSTALL_DESTINATION ${terrazzo_cmake_dir} PATH_VARS terrazzo_softgpu_dir
                              NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/terrazzoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/terrazzoConfig.cmake ${PROJECT_BINARY_DIR}/terrazzoConfigVersion.cmake
        DESTINATION ${terrazzo_cmake_dir})

file(RELATIVE_PATH terrazzo_pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/terrazzo.pc.in ${PROJECT_BINARY_DIR}/terrazzo.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/terrazzo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
