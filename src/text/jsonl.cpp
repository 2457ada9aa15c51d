#include "text/jsonl.h"

#include <nlohmann/json.hpp>

#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

using nlohmann::json;

// Listens to the parser and keeps one string of the outermost object.
class FieldReader : public json::json_sax_t {
 public:
  explicit FieldReader(const std::string& field) : field_(field) {}

  bool found = false;
  bool is_object = false;
  std::string text;
  std::size_t error_position = 0;

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(number_integer_t) override { return other(); }
  bool number_unsigned(number_unsigned_t) override { return other(); }
  bool number_float(number_float_t, const string_t&) override { return other(); }
  bool binary(binary_t&) override { return other(); }
  bool string(string_t& value) override {
    if (depth_ == 1 && at_field_) {
      found = true;
      text = std::move(value);
    }
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) at_field_ = name == field_;
    return true;
  }
  bool start_object(std::size_t) override {
    if (depth_ == 0) is_object = true;
    return open();
  }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    error_position = position;
    return false;
  }

 private:
  // A value that is no string. The field's last value counts, as in other JSON readers.
  bool other() {
    if (depth_ == 1 && at_field_) found = false;
    return true;
  }
  bool open() {
    other();
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  const std::string& field_;
  std::int64_t depth_ = 0;
  bool at_field_ = false;
};

}  // namespace

std::string jsonl_text(std::string_view line, const std::string& field, const std::string& where) {
  FieldReader reader(field);
  if (!json::sax_parse(line, &reader)) throw DataError(tr(Msg::jsonl_not_json, where, reader.error_position));
  if (!reader.is_object) throw DataError(tr(Msg::jsonl_not_object, where));
  if (!reader.found) throw DataError(tr(Msg::jsonl_no_field, where, field));
  return std::move(reader.text);
}

}  // namespace zhgpt
