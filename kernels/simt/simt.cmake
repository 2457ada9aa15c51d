# The host SIMT runtime: kernels/cuda/*.cu executed by the CPU, for tests. See README.md.
#
#   zhgpt_simt_runtime                          the runtime and the stand-in for libcudart; never instrumented
#   zhgpt_add_simt_kernels(target SOURCES ...)  object libraries of .cu files, one for each variant:
#       <target>_plain  optimised
#       <target>_asan   under AddressSanitizer and UndefinedBehaviorSanitizer
#       <target>_race   under the race checker
#   zhgpt_link_simt(target variant)             what a program with such objects needs

# No contraction, as everywhere. Kernels view memory as 128-bit words, which nvcc's aliasing rules allow. Reports find
# lines from return addresses: hence line tables, and no tail calls.
set(ZHGPT_SIMT_FLAGS -Wall -Wextra -Wshadow -Wno-unknown-pragmas -ffp-contract=off -fno-strict-aliasing
    -fno-optimize-sibling-calls -g1)
set(ZHGPT_SIMT_FLAGS_plain -O2)
set(ZHGPT_SIMT_FLAGS_asan -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all)
set(ZHGPT_SIMT_FLAGS_race -O1 -fsanitize=thread)  # only compiled so: the runtime answers instead of libtsan
set(ZHGPT_SIMT_LINK_asan -fsanitize=address,undefined)
set(ZHGPT_SIMT_VARIANTS plain asan race)
if(ZHGPT_SANITIZE)  # everything is instrumented already
  set(ZHGPT_SIMT_VARIANTS plain)
  list(APPEND ZHGPT_SIMT_FLAGS -fsanitize=${ZHGPT_SANITIZE} -fno-sanitize-recover=all)
  list(APPEND ZHGPT_SIMT_LINK_plain -fsanitize=${ZHGPT_SANITIZE})
endif()

file(GLOB simt_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
add_library(zhgpt_simt_runtime STATIC ${simt_sources})
target_include_directories(zhgpt_simt_runtime PUBLIC ${PROJECT_SOURCE_DIR}/kernels ${PROJECT_SOURCE_DIR}/include)
target_include_directories(zhgpt_simt_runtime SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
target_compile_options(zhgpt_simt_runtime PRIVATE -O2 -g1 -Wall -Wextra -Wshadow)
target_link_libraries(zhgpt_simt_runtime PUBLIC ${CMAKE_DL_LIBS})

function(zhgpt_add_simt_kernels target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" SOURCES)
  set_source_files_properties(${arg_SOURCES} PROPERTIES LANGUAGE CXX)  # makes CMake say -x c++
  foreach(variant IN LISTS ZHGPT_SIMT_VARIANTS)
    add_library(${target}_${variant} OBJECT ${arg_SOURCES})
    target_include_directories(${target}_${variant} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/kernels)
    target_include_directories(${target}_${variant} SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
    target_compile_definitions(${target}_${variant} PRIVATE ZHGPT_SIMT)
    target_compile_options(${target}_${variant} PRIVATE ${ZHGPT_SIMT_FLAGS} ${ZHGPT_SIMT_FLAGS_${variant}})
  endforeach()
endfunction()

function(zhgpt_link_simt target variant)
  target_link_libraries(${target} PRIVATE zhgpt_simt_runtime)
  target_link_options(${target} PRIVATE ${ZHGPT_SIMT_LINK_${variant}})
endfunction()

# The CUDA backend for the host runtime: what nvcc compiles into zhgpt_cuda, but for the libraries that need a device.
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cpp)
list(FILTER cuda_sources EXCLUDE REGEX "cublaslt|attention_cudnn")
zhgpt_add_simt_kernels(zhgpt_simt SOURCES ${cuda_sources})
