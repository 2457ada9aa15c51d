// What the tests of text share: a directory that goes away, and a corpus read in one call.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "text/corpus.h"
#include "text/utf8.h"
#include "zhgpt/error.h"

namespace zhgpt {

class TextTest : public testing::Test {
 protected:
  TextTest() {
    std::string name = std::filesystem::temp_directory_path() / "zhgpt-text-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    dir = name;
  }
  ~TextTest() override { std::filesystem::remove_all(dir); }

  std::string write(const std::string& name, std::string_view bytes) const {
    const std::string path = dir + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  struct Read {
    std::vector<std::string> documents;
    CorpusReport report;
    std::string error;  // "data: …", "config: …" or ""
  };

  // Reads in pieces of several sizes and holds the results against each other.
  Read corpus(const std::vector<std::string>& paths, const TextConfig& text = {}) const {
    const Read whole = corpus_by(paths, text, kChunkBytes);
    for (const std::size_t chunk : {1, 2, 3, 7, 64}) {
      const Read again = corpus_by(paths, text, chunk);
      EXPECT_EQ(again.documents, whole.documents) << "in pieces of " << chunk;
      EXPECT_EQ(again.error, whole.error) << "in pieces of " << chunk;
      EXPECT_EQ(again.report.dropped_controls, whole.report.dropped_controls);
      EXPECT_EQ(again.report.invalid_sequences, whole.report.invalid_sequences);
    }
    return whole;
  }

  Read corpus_by(const std::vector<std::string>& paths, const TextConfig& text, std::size_t chunk) const {
    Read result;
    try {
      Corpus read_corpus(list_sources(paths, dir), text, dir, {}, chunk);
      result.report = read_corpus.report();
      std::string document;
      read_corpus.for_each_document([&](std::int64_t, std::span<const char32_t> characters) {
        for (const char32_t c : characters) append_utf8(document, c);
        if (characters.empty()) result.documents.push_back(std::exchange(document, ""));
      });
    } catch (const DataError& error) {
      result.error = std::string("data: ") + error.what();
    } catch (const ConfigError& error) {
      result.error = std::string("config: ") + error.what();
    }
    return result;
  }

  std::string dir;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

#define EXPECT_ERROR(result, kind, ...)                                              \
  do {                                                                               \
    EXPECT_EQ((result).error.substr(0, std::string(kind ": ").size()), kind ": ");   \
    for (const std::string part : {__VA_ARGS__}) {                                   \
      EXPECT_TRUE(contains((result).error, part)) << part << "\n" << (result).error; \
    }                                                                                \
  } while (false)

}  // namespace zhgpt
