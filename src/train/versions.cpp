#include "train/versions.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <vector>

#include "train/run_directory.h"
#include "zhgpt/atomic_file.h"
#include "zhgpt/convert.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVersions = "versions";
constexpr const char* kDeployed = "deployed";
constexpr const char* kLatest = "latest";
constexpr std::size_t kLongestName = 200;  // leaves room for what AtomicFile adds to it

void require_name(const std::string& name) {
  const bool is_clean = std::ranges::all_of(
      name, [](unsigned char c) { return c >= 0x20 && c != 0x7F && c != '/' && c != '\\'; });
  const bool is_name =
      is_clean && !name.empty() && name.size() <= kLongestName && name[0] != '.' && name[0] != '-';
  if (!is_name || name == kLatest) throw ConfigError(tr(Msg::version_bad_name, name));
}

std::string names_in(const std::string& versions) {
  std::vector<std::string> names;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(versions, none)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".bin" && !path.filename().string().starts_with('.'))
      names.push_back(path.stem());
  }
  std::ranges::sort(names);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? tr(Msg::version_none) : text;
}

}  // namespace

std::string version_name_of_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "v_%Y%m%d_%H%M%S", &local);
  return text;
}

std::string save_version(const std::string& directory, const Checkpoint& from, const std::string& name,
                         VersionKind kind, bool force) {
  require_name(name);
  const std::string folder = directory + "/" + (kind == VersionKind::whole ? kVersions : kDeployed);
  const std::string path = folder + "/" + name + ".bin";
  prepare_directory(folder);
  const DirectoryLock lock(folder);
  if (fs::exists(path) && !force) throw ConfigError(tr(Msg::version_exists, path));
  const bool is_whole = kind == VersionKind::whole;
  const Snapshot snapshot = is_whole ? snapshot_of(from) : convert(from, {.inference_only = true}).snapshot;
  save_checkpoint(path, snapshot, force);
  if (Checkpoint::open(path).state_hash() != state_hash(snapshot)) {
    throw CheckpointError(tr(Msg::version_not_the_same, path, from.path()));
  }
  if (is_whole) write_pointer(folder, kLatest, name + ".bin");
  return path;
}

std::string version_path(const std::string& directory, const std::string& name) {
  const std::string folder = directory + "/" + kVersions;
  if (name != kLatest) require_name(name);
  const std::string file = name == kLatest ? read_pointer(folder + "/" + kLatest) : name + ".bin";
  if (file.empty() || !fs::exists(folder + "/" + file)) {
    throw CheckpointError(tr(Msg::version_unknown, directory, name, names_in(folder)));
  }
  return folder + "/" + file;
}

std::string run_directory_of(const std::string& file) {
  const fs::path folder = fs::absolute(file).lexically_normal().parent_path();
  const bool is_of_versions = folder.filename() == kVersions || folder.filename() == kDeployed;
  return is_of_versions ? folder.parent_path() : folder;
}

}  // namespace zhgpt
