# What the system must have. All that is missing is named in one message, with the packages that have it.
set(MLXE_MISSING "")

# A package of CMake: `name [version]`, with further arguments of find_package(). `debian`: the package that has it.
macro(mlxe_find_package debian)
  find_package(${ARGN} QUIET)
  if(NOT ${ARGV1}_FOUND)
    list(APPEND MLXE_MISSING ${debian})
  endif()
endmacro()

macro(mlxe_find_system_packages)
  mlxe_find_package(nlohmann-json3-dev nlohmann_json)
  mlxe_find_package(libfmt-dev fmt)
  if(MLXE_WITH_RUST)
    mlxe_find_package(libeigen3-dev Eigen3 NO_MODULE)
    if(MLXE_WITH_HUB)
      mlxe_find_package(libcurl4-openssl-dev CURL 7.85)
    endif()
    if(MLXE_BUILD_CLI)
      mlxe_find_package(libcli11-dev CLI11)
    endif()
  endif()
  if(MLXE_MISSING)
    list(JOIN MLXE_MISSING " " MLXE_MISSING)
    message(FATAL_ERROR "System packages are missing: ${MLXE_MISSING}. Run `make deps-system`, or install them "
      "(Debian: apt-get install ${MLXE_MISSING}).")
  endif()
endmacro()
