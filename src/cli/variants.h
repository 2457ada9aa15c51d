// Which characters that a model knows stand nearest to one that it does not.
#pragma once

#include <functional>
#include <string>

namespace zhgpt::cli {

// The character in another form, every character of which `known` accepts: its compatibility form (Ａ A, ㈱
// 株…; Unicode's NFKC), simplified for traditional, traditional for simplified, then the forms of Taiwan,
// Hong Kong and Japan (OpenCC's tables). Empty when there is none, or OpenCC's tables are not installed.
std::u32string known_variant(char32_t character, const std::function<bool(char32_t)>& known);

}  // namespace zhgpt::cli
