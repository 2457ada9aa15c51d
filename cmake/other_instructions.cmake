# The CPU's kernels once more, for tests: compiled for other processors than this one, whose instructions it has too.
#
#   ZHGPT_OTHER_INSTRUCTIONS      their names; empty where the processor is no x86
#   zhgpt_cpu_<name>              objects; a program that names them takes none from zhgpt_cpu
include(CheckCXXSourceRuns)

set(ZHGPT_OTHER_INSTRUCTIONS)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  check_cxx_source_runs("int main() { return !(__builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\") && __builtin_cpu_supports(\"bmi2\")); }"
    ZHGPT_PROCESSOR_HAS_AVX2)
  set(ZHGPT_MARCH_plain x86-64)
  list(APPEND ZHGPT_OTHER_INSTRUCTIONS plain)
  if(ZHGPT_PROCESSOR_HAS_AVX2)
    set(ZHGPT_MARCH_avx2 x86-64-v3)
    list(APPEND ZHGPT_OTHER_INSTRUCTIONS avx2)
  else()
    message(STATUS "No AVX2 here: the tests of the kernels that use it are left out")
  endif()
endif()

foreach(name IN LISTS ZHGPT_OTHER_INSTRUCTIONS)
  zhgpt_add_cpu_kernels(zhgpt_cpu_${name} OBJECT)
  target_include_directories(zhgpt_cpu_${name} PRIVATE include)
  target_compile_options(zhgpt_cpu_${name} PRIVATE
    $<FILTER:$<TARGET_PROPERTY:zhgpt_flags,INTERFACE_COMPILE_OPTIONS>,EXCLUDE,^-march> -march=${ZHGPT_MARCH_${name}})
endforeach()
