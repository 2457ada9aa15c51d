#include "text/corpus.h"

#include <map>
#include <optional>
#include <span>
#include <utility>

#include "text/encoding.h"
#include "text/jsonl.h"
#include "zhgpt/error.h"
#include "zhgpt/messages.h"

namespace zhgpt {
namespace {

std::u32string normalized(const std::string& utf8, NormalForm form) {
  std::u32string characters, out;
  const DecodeStep step = decode_utf8(utf8, true, characters);
  if (step.invalid > 0) throw ConfigError(tr(Msg::text_choice, "document", utf8, "UTF-8"));
  TextCleaner cleaner(form);
  cleaner.push(characters, out);
  cleaner.finish(out);
  return out;
}

DocumentRule document_rule_of(const TextConfig& text) {
  if (text.document == "auto" || text.document == "file") return {SplitAt::unit_end, {}};
  if (text.document == "line") return {SplitAt::line, {}};
  if (text.document == "blank-line") return {SplitAt::blank_line, {}};
  return {SplitAt::separator, normalized(text.document, normal_form(text.normalize))};
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    if (!out.empty()) out += ' ';
    out += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return out;
}

}  // namespace

void validate(const TextConfig& text) {
  normal_form(text.normalize);
  if (text.on_invalid != "error" && text.on_invalid != "replace" && text.on_invalid != "skip") {
    throw ConfigError(tr(Msg::text_choice, "on_invalid", text.on_invalid, "error, replace, skip"));
  }
  const std::string documents = "auto, file, line, blank-line, SEPARATOR";
  if (text.document.empty() || document_rule_of(text).separator.find(U'\n') != std::u32string::npos) {
    throw ConfigError(tr(Msg::text_choice, "document", text.document, documents));
  }
  if (!(text.val_fraction >= 0 && text.val_fraction < 1)) {
    throw ConfigError(tr(Msg::text_choice, "val_fraction", text.val_fraction, "0 <= x < 1"));
  }
  if (text.encoding != "auto") make_decoder(text.encoding);
}

// Where cleaned text goes while the sources are read.
struct Corpus::Reading {
  Reading(Corpus& corpus, const TextConfig& config, const BytesReadFunction& callback, std::size_t chunk)
      : text(config),
        on_read(callback),
        chunk_bytes(chunk),
        keeps_blocks(config.document == "auto"),
        to(corpus.text_),
        cleaner(normal_form(config.normalize)),
        whole(document_rule_of(config),
              [&corpus](DocumentRange range) {
                corpus.whole_.append({&range, 1});
              }),
        blocks({SplitAt::blank_line, {}}, [this, &corpus](DocumentRange range) {
          corpus.blocks_.append({&range, 1});
          text_blocks += in_text_file;
        }) {}

  void begin_unit(bool is_record) {
    in_text_file = !is_record;
    whole.begin_unit(is_record);
    blocks.begin_unit(is_record);
  }
  void push(std::u32string_view characters) {
    cleaner.push(characters, cleaned);
    write();
  }
  void end_unit() {
    cleaner.finish(cleaned);
    write();
    whole.end_unit();
    if (keeps_blocks) blocks.end_unit();
  }
  void write() {
    to.append(cleaned);
    whole.push(cleaned);
    if (keeps_blocks) blocks.push(cleaned);
    cleaned.clear();
  }

  const TextConfig& text;
  const BytesReadFunction& on_read;
  std::size_t chunk_bytes;
  bool keeps_blocks, in_text_file = false;
  std::int64_t text_blocks = 0;
  ScratchArray<char32_t>& to;
  TextCleaner cleaner;
  DocumentSplitter whole, blocks;
  std::u32string cleaned;
  std::string guess;  // of the file being read, when its encoding is not known
  std::map<std::string, std::int64_t> files_by_encoding;
};

namespace {

// Collects decoded lines of a JSONL file and hands on each record's text.
class RecordReader {
 public:
  RecordReader(std::string file, std::string field) : file_(std::move(file)), field_(std::move(field)) {}

  void push(char32_t c) {
    append_utf8(line_, c);
    if (line_.size() > kLongestRecordBytes) {
      throw DataError(tr(Msg::jsonl_too_long, file_, number_, kLongestRecordBytes >> 20));
    }
  }
  template <class Reading>
  void end_line(Reading& reading) {
    if (line_.find_first_not_of(" \t") != std::string::npos) {
      const std::string text = jsonl_text(line_, field_, file_ + ":" + std::to_string(number_));
      reading.begin_unit(true);
      std::u32string characters;
      for (std::string_view rest = text; !rest.empty();) {
        const std::string_view piece = rest.substr(0, kChunkBytes);
        characters.clear();
        rest.remove_prefix(decode_utf8(piece, piece.size() == rest.size(), characters).consumed);
        reading.push(characters);
      }
      reading.end_unit();
    }
    line_.clear();
    ++number_;
  }

 private:
  std::string file_, field_, line_;
  std::int64_t number_ = 1;
};

}  // namespace

Corpus::Corpus(const SourceList& list, const TextConfig& text, const std::string& scratch_directory,
               const BytesReadFunction& on_read, std::size_t chunk_bytes)
    : text_(scratch_directory), whole_(scratch_directory), blocks_(scratch_directory) {
  validate(text);
  report_.notes = list.notes;
  Reading reading(*this, text, on_read, chunk_bytes);
  for (const Source& source : list.sources) read_source(source, reading);

  by_block_ = reading.keeps_blocks && reading.text_blocks >= kFewestBlocks;
  report_.document_rule = !reading.keeps_blocks ? text.document : by_block_ ? "blank-line" : "file";
  report_.files = static_cast<std::int64_t>(list.sources.size());
  report_.documents = documents();
  ranges().read(0, ranges().size(), [&](std::span<const DocumentRange> some) {
    for (const DocumentRange& range : some) report_.characters += range.size();
  });
  report_.dropped_controls = reading.cleaner.dropped();
  for (const auto& [encoding, files] : reading.files_by_encoding) {
    report_.encodings.push_back(files == 1 ? encoding : tr(Msg::encoding_of_files, encoding, files));
  }
  if (report_.documents == 0) {
    throw DataError(tr(Msg::corpus_no_text, report_.files, report_.source_bytes, report_.dropped_controls));
  }
}

void Corpus::read_source(const Source& source, Reading& reading) {
  std::string encoding = reading.text.encoding;
  std::optional<SourceIdentity> scanned;
  reading.guess.clear();
  if (encoding == "auto") {
    EncodingScan scan;
    SourceReader reader(source);
    std::string bytes;
    while (const std::size_t n = reader.append(bytes, reading.chunk_bytes)) {
      scan.push(bytes);
      bytes.clear();
      if (reading.on_read) reading.on_read(static_cast<std::int64_t>(n));
    }
    scanned = reader.identity();
    encoding = scan.finish();
    if (encoding.empty()) {
      encoding = "UTF-8";
      reading.guess = scan.guess().empty() ? "?" : scan.guess();
    }
  }
  ++reading.files_by_encoding[encoding];
  read_text(source, encoding, reading);
  if (scanned && !scanned->same_content(identities_.back()))
    throw DataError(tr(Msg::corpus_changed, source.name));
}

void Corpus::read_text(const Source& source, const std::string& encoding, Reading& reading) {
  const std::unique_ptr<Decoder> decoder = make_decoder(encoding);
  const bool is_jsonl = source.kind == SourceKind::jsonl;
  RecordReader records(source.name, reading.text.text_field);
  LineEnds line_ends;
  std::int64_t line = 1;
  bool at_start = true;
  std::u32string decoded;

  const auto take_decoded = [&] {
    std::size_t kept = 0;
    for (char32_t c : decoded) {
      const bool is_mark = std::exchange(at_start, false) && c == 0xFEFF;
      if (is_mark || line_ends.fold(c)) continue;
      line += c == U'\n';
      if (!is_jsonl) {
        decoded[kept++] = c;
      } else if (c == U'\n') {
        records.end_line(reading);
      } else {
        records.push(c);
      }
    }
    decoded.resize(kept);
    reading.push(decoded);
    decoded.clear();
  };

  if (!is_jsonl) reading.begin_unit(false);
  SourceReader reader(source);
  std::string bytes;
  for (bool last = false; !last;) {
    const std::size_t n = reader.append(bytes, reading.chunk_bytes);
    last = n == 0;
    if (reading.on_read) reading.on_read(static_cast<std::int64_t>(n));
    std::string_view rest = bytes;
    while (true) {
      const DecodeStep step = decoder->decode(rest, last, decoded);
      take_decoded();
      rest.remove_prefix(step.consumed);
      if (step.invalid == 0) break;
      if (reading.text.on_invalid == "error") {
        const std::int64_t offset = reader.identity().bytes - static_cast<std::int64_t>(rest.size());
        const std::string found = hex(rest.substr(0, step.invalid));
        throw DataError(reading.guess.empty()
                            ? tr(Msg::invalid_bytes, source.name, line, offset, found, encoding)
                            : tr(Msg::unknown_bytes, source.name, line, offset, found, reading.guess));
      }
      if (reading.text.on_invalid == "replace") decoded += kReplacementCharacter;
      ++report_.invalid_sequences;
      rest.remove_prefix(step.invalid);
    }
    bytes.erase(0, bytes.size() - rest.size());
  }
  if (is_jsonl) {
    records.end_line(reading);
  } else {
    reading.end_unit();
  }
  identities_.push_back(reader.identity());
  report_.source_bytes += identities_.back().bytes;
}

}  // namespace zhgpt
