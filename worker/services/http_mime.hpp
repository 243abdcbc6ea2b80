#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "shared/key.hpp"

namespace preforkd::worker::http {

/// Which Content-Type a file has, by the extension of its name.
class MimeTypes {
  public:
    /// A table of the types that the web is made of.
    MimeTypes();

    /// Adds what `text` declares in the form of /etc/mime.types ("type extension..." on each line,
    /// # starts a comment); what it says of an extension counts, not the table. Lines that hold
    /// no valid type are skipped; see check_types().
    void add(std::string_view text);

    /// "text/html; charset=utf-8" for "a/index.HTML"; application/octet-stream for the unknown.
    [[nodiscard]] std::string_view type_of(std::string_view path) const;

  private:
    void set(std::string_view extension, std::string_view type);

    std::map<std::string, std::string, std::less<>> types_;
};

/// What in `text`, of any bytes, isn't in the form of /etc/mime.types: a type that is no
/// TYPE/SUBTYPE of two tokens, or an extension that has a dot before it or other characters than a
/// token and those beyond ASCII. Source: RFC 9110 §8.3.1, §5.6.2.
[[nodiscard]] ContentProblem check_types(std::string_view text);

}  // namespace preforkd::worker::http
