// Under a sanitizer an allocation without room gives a null pointer, as without one, so that tests can look
// at what the library makes of it.
extern "C" const char* __asan_default_options();
extern "C" const char* __tsan_default_options();

const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}
