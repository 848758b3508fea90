# Cross build with Debian's g++-aarch64-linux-gnu. What is taken from the host (fmt, nlohmann_json, GoogleTest's sources) is
# headers and sources.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
file(GLOB fmt_DIR /usr/lib/*-linux-gnu/cmake/fmt)
