# What all of terrazzo's own targets share: warnings, sanitizers, include folder.

add_library(terrazzo_build_flags INTERFACE)
target_compile_features(terrazzo_build_flags INTERFACE cxx_std_20)
target_compile_options(terrazzo_build_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                                      -fvisibility=hidden -fvisibility-inlines-hidden)
if(TERRAZZO_WERROR)
  target_compile_options(terrazzo_build_flags INTERFACE -Werror)
endif()
if(TERRAZZO_SANITIZE)
  target_compile_options(terrazzo_build_flags INTERFACE -fsanitize=${TERRAZZO_SANITIZE} -fno-omit-frame-pointer
                                                        -fno-sanitize-recover=all)
  target_link_options(terrazzo_build_flags INTERFACE -fsanitize=${TERRAZZO_SANITIZE})
endif()
target_compile_definitions(terrazzo_build_flags INTERFACE TERRAZZO_CHECK_LEVEL=${TERRAZZO_CHECK_LEVEL})
target_include_directories(terrazzo_build_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)

# Writes a file only if it would change: what depends on it is not made again after each configure.
function(terrazzo_write_if_different file text)
  set(known)
  if(EXISTS ${file})
    file(READ ${file} known)
  endif()
  if(NOT known STREQUAL text)
    file(WRITE ${file} "${text}")
  endif()
endfunction()

# Limits what a shared library shows to the names in a list, one a line. On Windows the list's C names go into a .def file;
# C++ names differ there (size_t is another type), and TERRAZZO_API marks what is shown.
function(terrazzo_export_only target list_file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list_file})
  file(STRINGS ${list_file} names REGEX "^[^#]")
  if(WIN32)
    list(FILTER names EXCLUDE REGEX "^_Z")
    list(JOIN names "\n    " joined)
    set(definition ${CMAKE_CURRENT_BINARY_DIR}/${target}.def)
    terrazzo_write_if_different(${definition} "EXPORTS\n    ${joined}\n")
    target_sources(${target} PRIVATE ${definition})
  elseif(NOT APPLE)
    list(JOIN names ";\n    " joined)
    set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}.map)
    terrazzo_write_if_different(${script} "{\n  global:\n    ${joined};\n  local:\n    *;\n};\n")
    target_link_options(${target} PRIVATE LINKER:--version-script=${script})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${script})
  endif()
endfunction()
