#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/key.hpp"
#include "shared/service_spec.hpp"

// What people read about the keys, made from the keys. `program` is the name it is started by.

namespace preforkd {

/// For --help: usage, options, services, and every key with its default and range.
[[nodiscard]] std::string help_text(std::string_view program,
                                    const std::vector<ServiceSpec>& services);

/// A valid file that shows every key. The first service listens; the others, and what may be left
/// out, stand behind '#'.
[[nodiscard]] std::string sample_file(std::string_view program,
                                      const std::vector<ServiceSpec>& services);

/// PROGRAM.conf(5). Source: mdoc(7).
[[nodiscard]] std::string manual_page(std::string_view program,
                                      const std::vector<ServiceSpec>& services);

/// Tables of all keys, in Markdown.
[[nodiscard]] std::string reference_markdown(const std::vector<ServiceSpec>& services);

/// `text` in lines of at most `width` characters, each after `indent`.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t width,
                                  std::string_view indent);

/// What a value must be, as a sentence: "Expected: 1s to 1h (units: ms, s, m, h)."; nothing where
/// the key's doc says it all, as for a path.
[[nodiscard]] std::string expectation(const KeySpec& key);

/// What a key is without being set: "30s", or in words where that is decided at start.
[[nodiscard]] std::string default_in_words(const KeySpec& key);

}  // namespace preforkd
