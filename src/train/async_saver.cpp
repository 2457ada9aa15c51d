#include "train/async_saver.h"

#include <chrono>
#include <filesystem>
#include <system_error>

#include "base/fingerprint.h"
#include "train/summary.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {

void verify_saved(const std::string& path, std::uint64_t expected) {
  std::string found;
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    if (checkpoint.state_hash() == expected) return;
    found = fingerprint_text(checkpoint.state_hash());
  } catch (const CheckpointError& error) {
    found = error.what();
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  throw IoError(tr(Msg::save_not_the_state, path, found, fingerprint_text(expected)));
}

AsyncSaver::~AsyncSaver() {
  try {
    finished(true);
  } catch (...) {  // whoever wanted to know has gone
  }
}

void AsyncSaver::begin(Request request) {
  request_ = std::move(request);
  request_.keep.newest_is_planned = request_.is_planned;
  snapshot_ = trainer_.copied_snapshot();
  snapshot_.progress.set("planned_save", request_.is_planned ? "true" : "false");
  learning_rate_ = trainer_.current_learning_rate();
  observer_ = trainer_.backend().observer();
  outcome_ = Outcome();
  outcome_.path = directory_ + "/" + request_.name;
  outcome_.step = snapshot_.step;
  is_busy_ = true;
  try {
    written_ = std::async(std::launch::async, [this] { write(); });
  } catch (const std::system_error& error) {  // no thread
    outcome_.error = tr(Msg::save_refused, outcome_.path, error.code().message());
  }
}

std::optional<AsyncSaver::Outcome> AsyncSaver::finished(bool wait) {
  if (!is_busy_) return std::nullopt;
  if (!wait && written_.valid() && written_.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    return std::nullopt;
  is_busy_ = false;
  try {
    if (written_.valid()) written_.get();
  } catch (const NotFiniteError& error) {
    outcome_.error = error.what();
    outcome_.is_finite = false;
  } catch (const IoError& error) {
    outcome_.error = error.what();
  } catch (const std::system_error& error) {  // of the file system
    outcome_.error = tr(Msg::save_refused, outcome_.path, error.code().message());
  }
  snapshot_ = {};
  return outcome_;
}

void AsyncSaver::write() {
  const Span span(observer_, Observer::Place::saving, "save");
  save_checkpoint(outcome_.path, snapshot_, true);
  const std::uint64_t hash = state_hash(snapshot_);
  if (trainer_.config().train.verify_saves) verify_saved(outcome_.path, hash);
  const std::string summary = summary_path(outcome_.path);
  if (!std::filesystem::exists(summary) || is_summary(summary)) {
    write_summary(outcome_.path, snapshot_, hash, learning_rate_);
  } else {
    outcome_.note = tr(Msg::no_summary, summary);
  }
  write_pointer(directory_, "latest", request_.name);
  if (request_.is_best) write_pointer(directory_, "best", request_.name);
  remove_old_checkpoints(directory_, trainer_.run_id(), request_.keep);
}

}  // namespace zhgpt
