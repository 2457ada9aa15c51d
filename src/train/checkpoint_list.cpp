#include "zhgpt/checkpoint_list.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <tuple>

#include "base/fingerprint.h"
#include "train/run_directory.h"
#include "zhgpt/error.h"
#include "zhgpt/formats.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSetAside = ".old";

bool is_set_aside(std::string_view name) {
  return name.ends_with(".bin.old");
}

// Of the many things that are kept in JSON, whether this is a checkpoint: it says so at its beginning.
bool is_json_checkpoint(const fs::path& path) {
  std::string head(4096, '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(head.data(), std::ssize(head));
  head.resize(static_cast<std::size_t>(in.gcount()));
  static const std::regex says_so("\"format\"\\s*:\\s*\"zhgpt\"");
  return std::regex_search(head, says_so);
}

bool may_be_checkpoint(const fs::path& path) {
  const auto format = format_of_path(path.string());
  if (format == Format::json) return is_json_checkpoint(path);
  return format || is_set_aside(path.string());
}

// Quoted text of a record, or "" when it is not there.
std::string text_or_none(const KeyValues& record, const char* key) {
  return record.has(key) ? record.get_quoted(key) : "";
}

void read_progress(const Checkpoint& checkpoint, CheckpointEntry& entry) {
  const KeyValues& p = checkpoint.progress();
  if (p.has("epoch")) entry.epoch = p.get_integer("epoch");
  if (p.has("train_loss")) entry.train_loss = p.get_real("train_loss");
  const bool is_evaluated =
      p.has("last_evaluation_step") && p.get_integer("last_evaluation_step") == checkpoint.step();
  if (is_evaluated) entry.val_loss = p.get_real("last_val_loss");
  entry.parent = text_or_none(p, "parent");
  entry.command = text_or_none(p, "command");
  entry.corpus = text_or_none(p, "corpus_fingerprint");
  entry.inference_only = p.has("inference_only") && p.get("inference_only") == "true";
}

CheckpointEntry entry_of(const fs::path& path) {
  CheckpointEntry entry;
  std::error_code gone;
  entry.bytes = static_cast<std::int64_t>(fs::file_size(path, gone));
  try {
    const Checkpoint checkpoint = Checkpoint::open(path.string());
    entry.step = checkpoint.step();
    entry.state_hash = fingerprint_text(checkpoint.state_hash());
    read_progress(checkpoint, entry);
  } catch (const Error& error) {
    entry.damage = error.what();
    if (const auto header = peek_checkpoint(path.string())) entry.step = header->step;
  }
  return entry;
}

// Whose progress says "latest" and "best" of its directory.
void read_pointers(const fs::path& directory, std::vector<CheckpointEntry>& entries) {
  for (CheckpointEntry& entry : entries) {
    const fs::path file = directory / entry.name;
    for (const char* pointer : {"latest", "best"}) {
      if (read_pointer((file.parent_path() / pointer).string()) == file.filename())
        entry.pointers.push_back(pointer);
    }
  }
}

}  // namespace

std::vector<CheckpointEntry> list_checkpoints(const std::string& directory) {
  std::vector<CheckpointEntry> entries;
  std::error_code error;
  fs::recursive_directory_iterator files(directory, error);
  if (error) throw IoError(tr(Msg::ck_directory_unread, directory, error.message()));
  for (auto at = begin(files); at != end(files); at.increment(error)) {
    if (error) throw IoError(tr(Msg::ck_directory_unread, directory, error.message()));
    const bool is_hidden = at->path().filename().string().starts_with('.');
    if (is_hidden && at->is_directory()) at.disable_recursion_pending();
    if (is_hidden || at->is_symlink() || !at->is_regular_file() || !may_be_checkpoint(at->path())) continue;
    entries.push_back(entry_of(at->path()));
    entries.back().name = at->path().lexically_relative(directory).string();
  }
  read_pointers(directory, entries);
  std::ranges::sort(entries, {}, [](const CheckpointEntry& e) { return std::tie(e.step, e.name); });
  return entries;
}

std::vector<std::size_t> lineage(const std::vector<CheckpointEntry>& entries, std::size_t from) {
  std::vector<std::size_t> line{from};
  std::set<std::string> seen{entries[from].state_hash};  // files may lie about their parents: no circles
  while (seen.insert(entries[line.back()].parent).second) {
    const auto parent = std::ranges::find_if(entries, [&](const CheckpointEntry& e) {
      return e.is_whole() && e.state_hash == entries[line.back()].parent;
    });
    if (parent == entries.end()) break;
    line.push_back(static_cast<std::size_t>(parent - entries.begin()));
  }
  return line;
}

std::vector<std::size_t> prunable(const std::vector<CheckpointEntry>& entries, std::int64_t keep_last,
                                  std::int64_t keep_best) {
  std::vector<std::size_t> candidates, by_loss, gone;
  for (std::size_t i = entries.size(); i-- > 0;) {  // the newest first
    const CheckpointEntry& e = entries[i];
    if (!e.is_whole()) continue;
    if (is_set_aside(e.name)) {
      if (is_checkpoint_name(e.name.substr(0, e.name.size() - kSetAside.size()))) gone.push_back(i);
    } else if (is_checkpoint_name(e.name)) {
      candidates.push_back(i);
      if (e.val_loss == e.val_loss) by_loss.push_back(i);
    }
  }
  std::ranges::stable_sort(by_loss, {}, [&](std::size_t i) { return entries[i].val_loss; });
  const auto among_first = [](const std::vector<std::size_t>& places, std::int64_t count, std::size_t i) {
    return std::ranges::find(places, i) - places.begin() < std::min(count, std::ssize(places));
  };
  for (const std::size_t i : candidates) {
    const bool is_kept = among_first(candidates, keep_last, i) || among_first(by_loss, keep_best, i);
    if (!is_kept && entries[i].pointers.empty()) gone.push_back(i);
  }
  std::ranges::sort(gone);
  return gone;
}

}  // namespace zhgpt
