#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace preforkd::worker::http {

/// Which Content-Type a file has, by the extension of its name.
class MimeTypes {
  public:
    /// A table of the types that the web is made of.
    MimeTypes();

    /// Adds what `text` declares in the form of /etc/mime.types ("type extension..." on each line,
    /// # starts a comment); what it says of an extension counts, not the table. Lines that hold
    /// no valid type are skipped.
    void add(std::string_view text);

    /// "text/html; charset=utf-8" for "a/index.HTML"; application/octet-stream for the unknown.
    [[nodiscard]] std::string_view type_of(std::string_view path) const;

  private:
    void set(std::string_view extension, std::string_view type);

    std::map<std::string, std::string, std::less<>> types_;
};

}  // namespace preforkd::worker::http
