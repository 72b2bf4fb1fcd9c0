# Lends a cross build headers of the host that do not depend on the system, one folder of them at a time: /usr/include as a
# whole would hide the target's own headers.

# host_headers(<target> <folder>): makes an imported target that sees #include <folder/...>.
function(host_headers target folder)
  find_path(${folder}_HEADERS_DIR NAMES ${folder} PATHS /usr/include /usr/local/include NO_DEFAULT_PATH
            NO_CMAKE_FIND_ROOT_PATH REQUIRED DOC "Folder that holds ${folder}/")
  set(lent ${CMAKE_BINARY_DIR}/host-headers)
  file(MAKE_DIRECTORY ${lent})
  file(CREATE_LINK ${${folder}_HEADERS_DIR}/${folder} ${lent}/${folder} SYMBOLIC)
  if(NOT TARGET ${target})
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${target} SYSTEM INTERFACE ${lent})
  endif()
endfunction()
