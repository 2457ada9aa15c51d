// A zoo of corpora, each with its exact outcome: documents and counts, or the error's kind and what it says.
// TextTest::corpus reads each in pieces of 1, 2, 3, 7, 64 and 256 Ki bytes and holds the results against each
// other.
#include <sys/stat.h>

#include "text_test.h"

namespace zhgpt {
namespace {

using namespace std::string_literals;
using Documents = std::vector<std::string>;

using Zoo = TextTest;

TEST_F(Zoo, NothingToRead) {
  EXPECT_ERROR(corpus({write("a.txt", "")}), "data", "empty");
  EXPECT_ERROR(corpus({write("a.txt", " \n\t\n　\r\n")}), "data", "no text", "0 documents");
  EXPECT_ERROR(corpus({write("a.txt", std::string(1000, '\0'))}), "data", "no text", "1000 control");
  EXPECT_ERROR(corpus({write("a.txt", "\xEF\xBB\xBF")}), "data", "no text");
}

TEST_F(Zoo, AnEmptyFileAmongOthersIsNoted) {
  const Read read = corpus({write("a.txt", ""), write("b.txt", "中")});
  EXPECT_EQ(read.documents, Documents{"中"});
  EXPECT_EQ(read.report.files, 1);
  ASSERT_EQ(read.report.notes.size(), 1u);
  EXPECT_TRUE(contains(read.report.notes[0], "a.txt"));
}

TEST_F(Zoo, OneCharacter) {
  const Read read = corpus({write("a.txt", "中")});
  EXPECT_EQ(read.documents, Documents{"中"});
  EXPECT_EQ(read.report.characters, 1);
  EXPECT_EQ(read.report.source_bytes, 3);
}

TEST_F(Zoo, MarkAtTheStartOnly) {
  EXPECT_EQ(corpus({write("a.txt", "\xEF\xBB\xBF中\xEF\xBB\xBF文")}).documents,
            Documents{"中\xEF\xBB\xBF文"});
}

TEST_F(Zoo, LineEndsBecomeLf) {
  EXPECT_EQ(corpus({write("a.txt", "一\r\n二\r三\n四\r\r\n五")}).documents,
            Documents{"一\n二\n三\n四\n\n五"});
}

TEST_F(Zoo, ControlCharactersAreDroppedAndCounted) {
  const Read read = corpus({write("a.txt", "一\0二\x1B[32m\t三\x7F\xEF\xBF\xBE"s)});
  EXPECT_EQ(read.documents, Documents{"一二[32m\t三"});
  EXPECT_EQ(read.report.dropped_controls, 4);
}

TEST_F(Zoo, InvalidUtf8IsAnErrorAtItsPlace) {
  const struct {
    std::string bytes, found;
  } cases[] = {{"\x80", "80"},
               {"\xC0\xAF", "C0"},
               {"\xED\xA0\x80", "ED"},
               {"\xF4\x90\x80\x80", "F4"},
               {"\xE4\xB8", "E4 B8"}};
  for (const auto& c : cases) {
    // 春眠 / 不觉 CRLF / 曉, then the invalid bytes at byte 6+1+6+2+3 = 18 of line 3.
    const Read read = corpus({write("a.txt", "春眠\n不觉\r\n晓" + c.bytes + "\n处处闻啼鸟")});
    EXPECT_ERROR(read, "data", "a.txt:3: byte 18: " + c.found + " is not valid UTF-8", "--on-invalid"s);
  }
}

TEST_F(Zoo, TruncatedLastCharacter) {
  EXPECT_ERROR(corpus({write("a.txt", "春眠不觉晓\xE5\xA4")}), "data", "a.txt:1: byte 15: E5 A4");
}

TEST_F(Zoo, InvalidUtf8ReplacedOrSkipped) {
  TextConfig text;
  const std::string path = write("a.txt", "春\xFF眠\xE5\xA4不\xED\xA0\x80觉晓");
  text.on_invalid = "replace";
  const Read replaced = corpus({path}, text);
  EXPECT_EQ(replaced.documents, Documents{"春\uFFFD眠\uFFFD不\uFFFD\uFFFD\uFFFD觉晓"});
  EXPECT_EQ(replaced.report.invalid_sequences, 5);
  text.on_invalid = "skip";
  EXPECT_EQ(corpus({path}, text).documents, Documents{"春眠不觉晓"});
}

TEST_F(Zoo, UnrecognisedBytesNameTheGuessAndTheWayOut) {
  const std::string path = write("a.txt", "caf\xE9 au lait\nna\xEFve\n");
  EXPECT_ERROR(corpus({path}), "data", "a.txt:1: byte 3: E9", "--encoding");
  TextConfig text;
  text.encoding = "ISO-8859-1";
  EXPECT_EQ(corpus({path}, text).documents, Documents{"café au lait\nnaïve"});
}

// The same sentences in each encoding; made with Python's codecs, not with the code under test.
const std::string kText = "春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。";
const std::string kGbk =
    "\xB4\xBA\xC3\xDF\xB2\xBB\xBE\xF5\xCF\xFE\xA3\xAC\xB4\xA6\xB4\xA6\xCE\xC5\xCC\xE4\xC4\xF1\xA1\xA3\n"
    "\xD2\xB9\xC0\xB4\xB7\xE7\xD3\xEA\xC9\xF9\xA3\xAC\xBB\xA8\xC2\xE4\xD6\xAA\xB6\xE0\xC9\xD9\xA1\xA3";

std::string utf16(const std::string& utf8, bool little) {
  std::u32string characters;
  decode_utf8(utf8, true, characters);
  std::string bytes;
  const auto put = [&](char32_t unit) {
    const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xFF);
    bytes += little ? std::string{low, high} : std::string{high, low};
  };
  for (const char32_t c : characters) {
    if (c < 0x10000) {
      put(c);
    } else {
      put(0xD800 + ((c - 0x10000) >> 10));
      put(0xDC00 + ((c - 0x10000) & 0x3FF));
    }
  }
  return bytes;
}

TEST_F(Zoo, Gbk) {
  const Read read = corpus({write("a.txt", kGbk)});
  EXPECT_EQ(read.documents, Documents{kText});
  EXPECT_EQ(read.report.encodings, std::vector<std::string>{"GB18030"});
}

TEST_F(Zoo, FortyBytesOfGbk) {
  const std::string one_line = kGbk.substr(0, 24) + kGbk.substr(25);
  EXPECT_EQ(corpus({write("a.txt", one_line.substr(0, 40))}).documents,
            Documents{"春眠不觉晓，处处闻啼鸟。夜来风雨声，花落"});
}

TEST_F(Zoo, Gb18030OfFourBytes) {
  TextConfig text;
  text.encoding = "gb18030";
  const std::string path = write("a.txt", kGbk + "\x95\x34\xB1\x31\xA1\xA3");  // 𠮩
  EXPECT_EQ(corpus({path}, text).documents, corpus({path}).documents);
  EXPECT_EQ(corpus({path}).documents, Documents{kText + "\U00020BA9。"});
}

TEST_F(Zoo, InvalidGbkIsAnErrorAtItsPlace) {
  EXPECT_ERROR(corpus({write("a.txt", kGbk + "\xFF\n" + kGbk)}), "data",
               "a.txt:2: byte 49: FF is not valid GB18030");
}

TEST_F(Zoo, Big5) {
  // 春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。
  const std::string bytes =
      "\xAC\x4B\xAF\x76\xA4\xA3\xC4\xB1\xBE\xE5\xA1\x41\xB3\x42\xB3\x42\xBB\x44\xB3\xDA\xB3\xBE\xA1\x43"
      "\xA9\x5D\xA8\xD3\xAD\xB7\xAB\x42\xC1\x6E\xA1\x41\xAA\xE1\xB8\xA8\xAA\xBE\xA6\x68\xA4\xD6\xA1\x43";
  const Read read = corpus({write("a.txt", bytes)});
  EXPECT_EQ(read.documents, Documents{"春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。"});
  EXPECT_EQ(read.report.encodings, std::vector<std::string>{"BIG5-HKSCS"});
}

TEST_F(Zoo, Big5HkscsEndsWithACodeOfTwoCharacters) {
  TextConfig text;
  text.encoding = "BIG5-HKSCS";
  for (std::size_t n = 1020; n < 1030; ++n) {  // around the size of the converter's buffer
    const std::string letters(n, 'x');
    EXPECT_EQ(corpus_by({write("a.txt", letters + "\x88\x62")}, text, kChunkBytes).documents,
              Documents{letters + "\u00CA\u0304"});
  }
}

TEST_F(Zoo, Utf16WithAndWithoutMark) {
  const std::string text = kText + "\n𠮷野家 abc";
  for (const bool little : {true, false}) {
    const std::string name = little ? "UTF-16LE" : "UTF-16BE";
    for (const char* mark : {"\uFEFF", ""}) {
      const Read read = corpus({write("a.txt", utf16(mark + text, little))});
      EXPECT_EQ(read.documents, Documents{text}) << name << *mark << read.error;
      EXPECT_EQ(read.report.encodings, std::vector<std::string>{name});
    }
    EXPECT_EQ(corpus({write("a.txt", utf16("plain English, no mark\n", little))}).documents,
              Documents{"plain English, no mark"});
  }
  EXPECT_ERROR(corpus({write("a.txt", utf16("\uFEFF" + text, true) + "x")}), "data", "not valid UTF-16LE");
}

TEST_F(Zoo, NearlyUtf8IsDamagedUtf8AndNeverAnotherEncoding) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += kText + "\n";
  for (const std::string& bad : {"\xB4\xBA"s, "\xFF"s, "\x80"s, "\xC4\xE3\xBA\xC3"s}) {
    const Read read = corpus({write("a.txt", text + bad + text)});
    EXPECT_ERROR(read, "data", "a.txt:101: byte " + std::to_string(text.size()), "is not valid UTF-8. Mend"s);
  }
  // English with a NUL and a bad byte looks like Han when read as UTF-16.
  EXPECT_ERROR(corpus({write("a.txt", "this is plain text\0 with \xFF in it, Bush hid the facts"s)}), "data",
               "UTF-8");
}

TEST_F(Zoo, AsciiStaysAsciiWithAStrayNul) {
  EXPECT_EQ(corpus({write("a.txt", "Bush hid the facts\0"s)}).documents, Documents{"Bush hid the facts"});
}

TEST_F(Zoo, EncodingByName) {
  TextConfig text;
  text.encoding = "utf-99";
  EXPECT_ERROR(corpus({write("a.txt", "x")}, text), "config", "utf-99");
  text.encoding = "GBK//IGNORE";
  EXPECT_ERROR(corpus({write("a.txt", "x")}, text), "config", "GBK//IGNORE");
  text.encoding = "utf8";
  EXPECT_ERROR(corpus({write("a.txt", kGbk)}, text), "data", "a.txt:1: byte 0: B4 is not valid utf8");
}

TEST_F(Zoo, EmojiJoinersAndTheSupplementaryPlane) {
  const std::string text = "𠮷野家👨‍👩‍👧が\u00E9";
  EXPECT_EQ(corpus({write("a.txt", "𠮷野家👨‍👩‍👧か\u3099e\u0301")}).documents,
            Documents{text});
}

TEST_F(Zoo, OneLongLine) {
  std::string text;
  while (text.size() < 1 << 20) text += "长";
  const Read read = corpus_by({write("a.txt", text)}, {}, kChunkBytes);
  EXPECT_EQ(read.documents, Documents{text});
}

TEST_F(Zoo, Jsonl) {
  const Read read =
      corpus({write("a.jsonl",
                    "\xEF\xBB\xBF{\"title\": \"x\", \"text\": \"一\\n\\n二\"}\r\n\n"
                    "{\"text\": \"\\ud842\\udfb7\\u4e2d\\r\\n\\u0000文\", \"n\": {\"text\": \"no\"}}\n"
                    "{\"text\": \"  \"}\n"
                    "{\"text\": \"first\", \"text\": \"last\"}")});
  EXPECT_EQ(read.documents, (Documents{"一\n\n二", "𠮷中\n文", "last"})) << read.error;
  EXPECT_EQ(read.report.dropped_controls, 1);
}

TEST_F(Zoo, JsonlErrorsNameTheLine) {
  const std::string good = "{\"text\": \"一\"}\n\n";
  EXPECT_ERROR(corpus({write("a.jsonl", good + "{\"text\": \"二\"\n")}), "data", "a.jsonl:3",
               "not valid JSON");
  EXPECT_ERROR(corpus({write("a.jsonl", good + "{\"text\": \"\\ud800\"}\n")}), "data", "a.jsonl:3",
               "not valid JSON");
  EXPECT_ERROR(corpus({write("a.jsonl", good + "{\"text\": 1}")}), "data", "a.jsonl:3", "\"text\"",
               "--text-field");
  EXPECT_ERROR(corpus({write("a.jsonl", good + "{\"n\": {\"text\": \"二\"}}")}), "data", "a.jsonl:3",
               "\"text\"");
  EXPECT_ERROR(corpus({write("a.jsonl", good + "[\"text\"]")}), "data", "a.jsonl:3", "object");
  EXPECT_ERROR(corpus({write("a.jsonl", good + "{\"text\": \"\xFF\"}")}), "data", "a.jsonl:3: byte 27: FF");
  TextConfig text;
  text.text_field = "正文";
  EXPECT_EQ(corpus({write("a.jsonl", "{\"正文\": \"一\", \"text\": \"二\"}")}, text).documents,
            Documents{"一"});
}

TEST_F(Zoo, DeepJsonIsOnlyALine) {
  const std::string deep =
      "{\"n\": " + std::string(100000, '[') + std::string(100000, ']') + ", \"text\": \"一\"}";
  EXPECT_EQ(corpus_by({write("a.jsonl", deep)}, {}, kChunkBytes).documents, Documents{"一"});
}

TEST_F(Zoo, ARecordHasALongestLength) {
  const std::string path = write("a.jsonl", "{\"text\": \"");
  std::filesystem::resize_file(path, (64 << 20) + 100);  // the rest reads as NUL bytes
  EXPECT_ERROR(corpus_by({path}, {}, kChunkBytes), "data", "a.jsonl:1", "64 MiB");
}

TEST_F(Zoo, WhatIsNotAFile) {
  EXPECT_ERROR(corpus({dir + "/none.txt"}), "data", "none.txt", "no such file");
  EXPECT_ERROR(corpus({"/dev/zero"}), "data", "/dev/zero", "not a regular file");
  const std::string fifo = dir + "/pipe.txt";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_ERROR(corpus({fifo}), "data", "pipe.txt", "not a regular file");
  EXPECT_ERROR(corpus({dir}), "data", "pipe.txt", "not a regular file");
  EXPECT_ERROR(corpus({write("a.json", "[]")}), "data", "a.json", "jsonl");
}

TEST_F(Zoo, NoPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const std::string path = write("a.txt", "中");
  chmod(path.c_str(), 0);
  EXPECT_ERROR(corpus({path}), "data", "a.txt", "no permission");
}

TEST_F(Zoo, DirectoriesInNaturalOrder) {
  for (const char* name :
       {"c/p10.txt", "c/p2.txt", "c/p02.txt", "c/sub/p1.TXT", "c/.hidden.txt", "c/note.md", "c/p3.jsonl"}) {
    const bool is_jsonl = std::string(name).ends_with("jsonl");
    write(name, is_jsonl ? "{\"text\": \"" + std::string(name) + "\"}" : std::string(name));
  }
  std::filesystem::create_symlink("p2.txt", dir + "/c/p9.txt");  // the same file again
  const Read read = corpus({dir + "/c"});
  EXPECT_EQ(read.documents, (Documents{"c/p02.txt", "c/p2.txt", "c/p3.jsonl", "c/p10.txt", "c/sub/p1.TXT"}));
  ASSERT_EQ(read.report.notes.size(), 1u);
  EXPECT_TRUE(contains(read.report.notes[0], "p9.txt"));
}

TEST_F(Zoo, DirectoriesThatCanNotBeUsed) {
  std::filesystem::create_directories(dir + "/c/d");
  EXPECT_ERROR(corpus({dir + "/c"}), "data", "holds no .txt");
  std::filesystem::create_directory_symlink("..", dir + "/c/d/up");
  EXPECT_ERROR(corpus({dir + "/c"}), "data", "leads back");
  std::filesystem::remove(dir + "/c/d/up");
  std::filesystem::create_symlink("self.txt", dir + "/c/self.txt");
  EXPECT_ERROR(corpus({dir + "/c"}), "data", "self.txt", "cannot be opened");
}

TEST_F(Zoo, TheSameFileTwiceIsReadOnce) {
  const std::string path = write("a.txt", "中");
  EXPECT_EQ(corpus({path, dir + "/./a.txt", dir}).documents, Documents{"中"});
}

TEST(NaturalOrder, NumbersByValueTheRestByBytes) {
  const std::vector<std::string> sorted = {
      "",  "01", "1",    "2",     "10", "99999999999999999999", "100000000000000000000",
      "B", "a",  "a1b2", "a1b10", "中"};
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    for (std::size_t j = 0; j < sorted.size(); ++j)
      EXPECT_EQ(natural_less(sorted[i], sorted[j]), i < j) << i << " " << j;
  }
}

TEST_F(Zoo, AFileThatChangesWhileItIsReadIsAnError) {
  const std::string path = write("a.txt", "春眠");
  for (const std::string& now : {"春晓"s, "春"s}) {
    write("a.txt", "春眠");
    const auto change = [&](std::int64_t) { write("a.txt", now); };
    EXPECT_THROW(Corpus(list_sources({path}, dir), {}, dir, change), DataError) << now;
  }
}

// ---- documents

std::string blocks(int n) {
  std::string text = "\n\n";
  for (int i = 0; i < n; ++i) text += "题" + std::to_string(i) + "\n  诗\n \n\t\n";
  return text;
}

TEST_F(Zoo, AutoIsBlocksFromTwentyOn) {
  const Read few = corpus({write("a.txt", blocks(19))});
  EXPECT_EQ(few.report.document_rule, "file");
  EXPECT_EQ(few.documents.size(), 1u);
  const Read many = corpus({write("a.txt", blocks(20)), write("b.jsonl", "{\"text\": \"一\\n\\n二\"}")});
  EXPECT_EQ(many.report.document_rule, "blank-line");
  ASSERT_EQ(many.documents.size(), 21u);
  EXPECT_EQ(many.documents[19], "题19\n  诗");
  EXPECT_EQ(many.documents[20], "一\n\n二");  // a record is one document
  // Blocks in records do not count.
  const Read records =
      corpus({write("c.txt", blocks(19)), write("d.jsonl", "{\"text\": \"一\"}\n{\"text\": \"二\"}")});
  EXPECT_EQ(records.report.document_rule, "file");
}

TEST_F(Zoo, TheSampleInTheTree) {
  const Read read = corpus({ZHGPT_TESTS_DIR "/../data/sample_zh.txt"});
  EXPECT_EQ(read.report.document_rule, "blank-line");
  EXPECT_EQ(read.documents.size(), 40u);
  EXPECT_EQ(read.documents[4], "《静夜思》\n李白\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。");
  EXPECT_EQ(read.report.dropped_controls, 0);
}

TEST_F(Zoo, DocumentRules) {
  const std::string path = write("a.txt", "\n一\n\n二\n---\n\n 三\n---x\n---");
  TextConfig text;
  text.document = "line";
  EXPECT_EQ(corpus({path}, text).documents, (Documents{"一", "二", "---", " 三", "---x", "---"}));
  text.document = "blank-line";
  EXPECT_EQ(corpus({path}, text).documents, (Documents{"一", "二\n---", " 三\n---x\n---"}));
  text.document = "file";
  EXPECT_EQ(corpus({path}, text).documents, Documents{"一\n\n二\n---\n\n 三\n---x\n---"});
  text.document = "---";
  EXPECT_EQ(corpus({path}, text).documents, (Documents{"一\n\n二", " 三\n---x"}));
}

TEST_F(Zoo, ChoicesAreChecked) {
  const std::string path = write("a.txt", "中");
  TextConfig text;
  text.document = "";
  EXPECT_ERROR(corpus({path}, text), "config", "document");
  text = {};
  text.on_invalid = "ignore";
  EXPECT_ERROR(corpus({path}, text), "config", "on_invalid", "replace");
  text = {};
  text.val_fraction = 1;
  EXPECT_ERROR(corpus({path}, text), "config", "val_fraction");
}

}  // namespace
}  // namespace zhgpt
