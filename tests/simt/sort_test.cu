// sort_ids: ascending, stable, any count of ids and digits, whatever the order of threads.
#include "cuda/sort.h"

#include <algorithm>
#include <numeric>

#include "cuda/sort.cu"
#include "simt/device_array.h"
#include "support/fill.h"

namespace zhgpt::test {
namespace {

TEST(Sort, IsStable) {
  struct Case {
    std::int64_t N, V;
  };
  const Case cases[] = {{1, 1}, {33, 2}, {511, 256}, {513, 257}, {4099, 65536}, {2000, 70001}, {35000, 6007}};
  for (const auto [N, V] : cases) {
    auto ids = random_ids(N, 1, V);
    for (std::size_t i = 0; i < ids.size(); i += 3) ids[i] = static_cast<std::int32_t>(V / 2);
    std::vector<std::int32_t> positions(ids.size()), sorted;
    std::iota(positions.begin(), positions.end(), 0);
    const auto id_of = [&](std::int32_t position) { return ids[static_cast<std::size_t>(position)]; };
    std::stable_sort(positions.begin(), positions.end(), [&](auto a, auto b) { return id_of(a) < id_of(b); });
    for (const std::int32_t position : positions) sorted.push_back(id_of(position));

    for_each_seed([&] {
      const DeviceArray<std::int32_t> device_ids(ids), got_ids(ids.size()), got_positions(ids.size());
      const DeviceArray<char> scratch(cuda::sort_bytes(N, V));
      cuda::Stream stream;
      const cuda::SortedIds got = cuda::sort_ids(stream, device_ids.data(), N, V, scratch.data());
      stream.synchronize();
      const auto download = [](const std::int32_t* device, const DeviceArray<std::int32_t>& copy,
                               std::size_t count) {
        cuda::check(cudaMemcpy(copy.data(), device, count * sizeof *device, cudaMemcpyDeviceToDevice),
                    "copying");
        return copy.download();
      };
      EXPECT_EQ(download(got.ids, got_ids, ids.size()), sorted) << N << " ids below " << V;
      EXPECT_EQ(download(got.positions, got_positions, ids.size()), positions) << N << " ids below " << V;
    });
  }
}

}  // namespace
}  // namespace zhgpt::test
