// Sections of the page that have a file of their own.
#pragma once

#include <string>

#include "report/page.h"

namespace zhgpt {

std::string verdicts_html(const ReportData& data);  // three cards; thresholds: docs/quality.md
std::string measures_html(const ReportData& data);  // every measure but those of verse

bool is_verse(const ReportData& data);           // so much of the corpus is that the section is due
std::string verse_html(const ReportData& data);  // REQUIRES: is_verse

}  // namespace zhgpt
