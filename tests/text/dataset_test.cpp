// Datasets: what the token streams hold, how the text is split, and what becomes of corpus.tokens.
#include "zhgpt/dataset.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <set>

#include "text_test.h"
#include "zhgpt/atomic_file.h"

namespace zhgpt {
namespace {

std::string text_of(const TokenArray& tokens, const Vocabulary& vocab) {
  std::string text;
  for (std::int64_t i = 0; i < tokens.count; ++i)
    text += tokens[i] == kEndOfTextId ? "|" : vocab.text(tokens[i]);
  return text;
}

std::multiset<std::string> documents_of(const TokenArray& tokens, const Vocabulary& vocab) {
  std::multiset<std::string> documents;
  std::stringstream text(text_of(tokens, vocab));
  for (std::string document; std::getline(text, document, '|');) documents.insert(document);
  return documents;
}

TokenArray array(const std::vector<std::uint16_t>& ids) {
  return token_array(DType::u16, std::as_bytes(std::span(ids)));
}

class DatasetTest : public TextTest {
 protected:
  DatasetTest() {
    run = dir + "/run";
    std::filesystem::create_directories(run);
  }
  Dataset prepare(const std::vector<std::string>& paths) const {
    return prepare_dataset(paths, text, seed, run);
  }

  // `n` different documents, each its own block.
  static std::string poems(int first, int n) {
    std::string out;
    for (int i = first; i < first + n; ++i) out += "第" + std::to_string(i) + "首\n床前明月光\n\n";
    return out;
  }

  std::string run;
  TextConfig text;
  std::uint64_t seed = 1337;
};

// A full disk, as every write fails at this limit.
TEST_F(DatasetTest, IsLoadedWhereNothingCanBeWritten) {
  const Dataset whole = prepare({write("a.txt", "天地玄黄宇宙洪荒日月盈昃辰宿列张")});
  rlimit usual{};
  getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit none{0, usual.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &none);
  const Dataset loaded = load_dataset(run, whole.fingerprint);
  setrlimit(RLIMIT_FSIZE, &usual);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(std::ranges::equal(loaded.train.bytes(), whole.train.bytes()));
  EXPECT_TRUE(std::ranges::equal(loaded.val.bytes(), whole.val.bytes()));
  EXPECT_GT(loaded.train.count, 0);
}

TEST_F(DatasetTest, FewDocumentsAreSplitByPlace) {
  text.val_fraction = 0.25;
  const Dataset data = prepare({write("a.txt", "一二三"), write("b.txt", "四四五")});
  EXPECT_EQ(text_of(data.train, data.vocab), "一二三|四四");
  EXPECT_EQ(text_of(data.val, data.vocab), "\uFFFD|");  // 五 occurs in validation only
  EXPECT_EQ(data.vocab.code_points(), (std::vector<std::int32_t>{-1, -2, U'四', U'一', U'三', U'二'}));
  EXPECT_EQ(data.report.unknown_val, 1);
  EXPECT_EQ(data.report.val_documents, 1);
  ASSERT_EQ(data.report.notes.size(), 1u);
  EXPECT_EQ(data.train.dtype, DType::u16);
}

TEST_F(DatasetTest, NoValidation) {
  text.val_fraction = 0;
  const Dataset data = prepare({write("a.txt", poems(0, 30))});
  EXPECT_EQ(data.val.count, 0);
  EXPECT_EQ(documents_of(data.train, data.vocab).size(), 30u);
}

TEST_F(DatasetTest, TheSplitDependsOnEachDocumentAlone) {
  text.val_fraction = 0.3;
  const Dataset one = prepare({write("a.txt", poems(0, 100)), write("b.txt", poems(100, 100))});
  const auto val = documents_of(one.val, one.vocab), train = documents_of(one.train, one.vocab);
  EXPECT_EQ(val.size() + train.size(), 200u);
  EXPECT_EQ(static_cast<std::int64_t>(val.size()), one.report.val_documents);
  EXPECT_GT(val.size(), 40u);  // 60 expected, standard deviation 6.5
  EXPECT_LT(val.size(), 80u);

  const Dataset other =
      prepare({dir + "/b.txt", dir + "/a.txt", write("c.txt", poems(50, 100) + poems(200, 50))});
  EXPECT_FALSE(other.report.from_cache);
  const auto other_val = documents_of(other.val, other.vocab),
             other_train = documents_of(other.train, other.vocab);
  for (const std::string& document : val) EXPECT_GE(other_val.count(document), 1u);
  for (const std::string& document : train) EXPECT_GE(other_train.count(document), 1u);
  for (const std::string& document : other_val)
    EXPECT_EQ(other_train.count(document), 0u) << "equal on both sides";

  seed = 1338;
  EXPECT_NE(documents_of(prepare({dir + "/a.txt", dir + "/b.txt"}).val, one.vocab), val);
}

TEST_F(DatasetTest, NeitherSideIsEverEmpty) {
  text.document = "line";
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += "诗" + std::to_string(i) + "\n";
  const std::string path = write("a.txt", lines);
  for (const double fraction : {1e-9, 1 - 1e-9}) {
    text.val_fraction = fraction;
    const Dataset data = prepare({path});
    EXPECT_EQ(data.report.val_documents, fraction < 0.5 ? 1 : 19);
    EXPECT_EQ(data.report.notes.size(), 1u);
  }
  std::string equal;
  for (int i = 0; i < 20; ++i) equal += "同\n";
  text.val_fraction = 0.1;
  const Dataset data = prepare({write("b.txt", equal)});
  EXPECT_EQ(data.val.count, 4);
  EXPECT_EQ(data.train.count, 36);
}

TEST_F(DatasetTest, ValidationFromAnotherFile) {
  text.val_corpus = write("val.txt", "二一");
  const Dataset data = prepare({write("a.txt", "一二三")});
  EXPECT_EQ(text_of(data.train, data.vocab), "一二三|");
  EXPECT_EQ(text_of(data.val, data.vocab), "二一|");
  write("val.txt", "二二");
  EXPECT_EQ(text_of(prepare({dir + "/a.txt"}).val, data.vocab), "二二|");
}

TEST_F(DatasetTest, VocabularyFromAFileAndMinCount) {
  text.val_fraction = 0;
  text.min_count = 2;
  const std::string path = write("a.txt", "一一二");
  const Dataset first = prepare({path});
  EXPECT_EQ(text_of(first.train, first.vocab), "一一\uFFFD|");
  EXPECT_EQ(first.report.unknown_train, 1);
  text.vocab = write("v.json", Vocabulary::build({{U'二', 1}}, 1).to_json());
  const Dataset second = prepare({path});
  EXPECT_EQ(text_of(second.train, second.vocab), "\uFFFD\uFFFD二|");
  EXPECT_EQ(read(run + "/vocab.json"), read(text.vocab));
}

TEST_F(DatasetTest, WideTokensWhenTheVocabularyIsWide) {
  std::string everything;
  for (char32_t c = 0x4E00; c < 0x9FFF; ++c) append_utf8(everything, c);
  for (char32_t c = 0x20000; c < 0x2D000; ++c) append_utf8(everything, c);
  text.val_fraction = 0;
  text.normalize = "none";
  const Dataset data = prepare({write("a.txt", everything)});
  EXPECT_EQ(data.train.dtype, DType::i32);
  EXPECT_EQ(text_of(data.train, data.vocab), everything + "|");
  EXPECT_TRUE(std::ranges::equal(prepare({dir + "/a.txt"}).train.bytes(), data.train.bytes()));
}

TEST_F(DatasetTest, StandardInputAndWhatIsLeftBehind) {
  const std::string path = write("a.txt", poems(0, 30));
  ASSERT_NE(std::freopen(path.c_str(), "r", stdin), nullptr);
  const Dataset piped = prepare({"-"});
  EXPECT_EQ(piped.report.document_rule, "blank-line");
  EXPECT_TRUE(prepare({path}).report.from_cache);  // the same bytes
  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(run)) left.insert(entry.path().filename());
  EXPECT_EQ(left, (std::set<std::string>{"corpus.tokens", "vocab.json"}));
}

// ---- corpus.tokens

bool equal(const Dataset& a, const Dataset& b) {
  return std::ranges::equal(a.train.bytes(), b.train.bytes()) &&
         std::ranges::equal(a.val.bytes(), b.val.bytes()) && a.fingerprint == b.fingerprint &&
         a.vocab.code_points() == b.vocab.code_points() && a.train.dtype == b.train.dtype;
}

TEST_F(DatasetTest, TheCacheIsUsedUntilSomethingDiffers) {
  const std::string path = write("a.txt", poems(0, 30));
  const Dataset first = prepare({path});
  EXPECT_FALSE(first.report.from_cache);
  const Dataset second = prepare({path});
  EXPECT_TRUE(second.report.from_cache);
  EXPECT_TRUE(equal(first, second));
  EXPECT_EQ(second.report.documents, 30);
  EXPECT_EQ(second.report.encodings, first.report.encodings);

  std::filesystem::rename(path, dir + "/renamed.txt");  // the same bytes under another name
  EXPECT_TRUE(prepare({dir + "/renamed.txt"}).report.from_cache);
  std::string changed = poems(0, 30);
  changed.replace(changed.find("床"), 3, "窗");  // the same length
  EXPECT_FALSE(prepare({write("a.txt", changed)}).report.from_cache);

  const auto expect_stale = [&](auto& field, auto value) {
    prepare({path});
    const auto before = std::exchange(field, value);
    EXPECT_FALSE(prepare({path}).report.from_cache);
    field = before;
  };
  expect_stale(seed, seed + 1);
  expect_stale(text.val_fraction, 0.2);
  expect_stale(text.normalize, "nfkc");
  expect_stale(text.document, "line");
  expect_stale(text.encoding, "utf-8");
  expect_stale(text.min_count, 2);
  expect_stale(text.on_invalid, "skip");
  expect_stale(text.vocab, write("v.json", first.vocab.to_json()));
  expect_stale(text.val_corpus, write("v.txt", "明月"));
}

TEST_F(DatasetTest, LoadingNeedsNoCorpus) {
  const std::string path = write("a.txt", poems(0, 30));
  const Dataset first = prepare({path});
  std::filesystem::remove(path);
  std::filesystem::remove(run + "/vocab.json");
  EXPECT_TRUE(equal(load_dataset(run, first.fingerprint), first));
  EXPECT_THROW(load_dataset(run, first.fingerprint + 1), DataError);
  EXPECT_THROW(load_dataset(dir, first.fingerprint), DataError);
}

TEST_F(DatasetTest, EveryDamageIsFoundAndMended) {
  const std::string path = write("a.txt", poems(0, 30));
  const Dataset first = prepare({path});
  const std::string file = run + "/corpus.tokens", good = read(file);
  const auto expect_damaged = [&](const std::string& bytes, std::size_t where) {
    std::ofstream(file, std::ios::binary) << bytes;
    EXPECT_THROW(load_dataset(run, first.fingerprint), DataError) << where;
  };
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    expect_damaged(bad, i);
  }
  for (std::size_t n = 0; n < good.size(); n += n < 128 ? 1 : 37) expect_damaged(good.substr(0, n), n);
  expect_damaged(good + "x", good.size());

  const Dataset again = prepare({path});
  EXPECT_FALSE(again.report.from_cache);
  EXPECT_TRUE(equal(again, first));
  EXPECT_EQ(read(file), good);
}

TEST_F(DatasetTest, FingerprintIsOfTextAndBoundaries) {
  const auto fingerprint = [&](const std::string& content) {
    return prepare({write("a.txt", content)}).fingerprint;
  };
  const std::uint64_t first = fingerprint("一二\n三");
  EXPECT_EQ(fingerprint("\n\xEF\xBB\xBF一二\r\n三\n\n") == first,
            false);  // the mark in the middle is a character
  EXPECT_EQ(fingerprint("\xEF\xBB\xBF\n一二\r\n三\n\n"), first);
  EXPECT_NE(fingerprint("一二\n\n三"), first);
  text.document = "line";
  EXPECT_NE(fingerprint("一二\n三"), first);
}

TEST_F(DatasetTest, TokenizeForEvaluation) {
  const Vocabulary vocab = Vocabulary::build({{U'一', 2}, {U'二', 1}}, 1);
  CorpusReport report;
  const TokenArray tokens =
      tokenize_corpus({write("a.txt", "一二"), write("b.txt", "三一")}, text, vocab, &report);
  EXPECT_EQ(text_of(tokens, vocab), "一二|\uFFFD一|");
  EXPECT_EQ(report.unknown_val, 1);
  EXPECT_EQ(report.documents, 2);
}

TEST_F(DatasetTest, ProgressEndsAtOrBelowTheTotal) {
  std::int64_t last = 0, total = 0;
  const std::string path = write("a.txt", poems(0, 30));
  prepare_dataset({path}, text, seed, run, [&](std::int64_t done, std::int64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  });
  EXPECT_GT(last, 0);
  EXPECT_LE(last, total);
}

// ---- baselines

TEST_F(DatasetTest, BaselinesByHand) {
  const Vocabulary vocab = Vocabulary::build({{U'a', 1}, {U'b', 1}}, 1);  // V = 4; a is 2, b is 3
  // Learned from "a b"; then "a b b" is read.
  const Baselines got = compute_baselines(array({2, 3}), array({2, 3, 3}), vocab);
  EXPECT_DOUBLE_EQ(got.uniform, std::log(4.0));
  // (n + 1/2) / (N + 2): a 1.5/4; b 1.5/5; b 2.5/6.
  const double a = 1.5 / 4, b = 1.5 / 5, c = 2.5 / 6;
  EXPECT_DOUBLE_EQ(got.unigram, -(std::log(a) + std::log(b) + std::log(c)) / 3);
  // After b nothing was seen: the unigram a. After a: b once, one kind: (1 + b) / 2. After b: a once: (0 + c)
  // / 2.
  EXPECT_DOUBLE_EQ(got.bigram, -(std::log(a) + std::log((1 + b) / 2) + std::log(c / 2)) / 3);
}

TEST_F(DatasetTest, BaselinesNoticeWhatWasSeenBefore) {
  std::vector<std::uint16_t> ids;
  for (std::uint32_t i = 0, x = 1; i < 20000; ++i, x = x * 1664525 + 1013904223)
    ids.push_back(static_cast<std::uint16_t>(2 + (x >> 16) % 500));
  CharacterCounts counts;
  for (char32_t c = 0; c < 500; ++c) counts[U'一' + c] = 1;
  const Vocabulary vocab = Vocabulary::build(counts, 1);
  const Baselines fresh = compute_baselines({}, array(ids), vocab),
                  seen = compute_baselines(array(ids), array(ids), vocab);
  EXPECT_GT(fresh.xz, 0.9 * std::log(500.0));  // random: no model does better than uniform by much
  EXPECT_LT(fresh.xz, 2 * std::log(500.0));
  EXPECT_LT(seen.xz, 0.1);
  EXPECT_LT(seen.bigram, fresh.bigram);
  EXPECT_NEAR(fresh.unigram, std::log(500.0), 0.1);
  const Baselines none = compute_baselines(array(ids), array({}), vocab);
  EXPECT_EQ(none.unigram, 0);
}

}  // namespace
}  // namespace zhgpt
