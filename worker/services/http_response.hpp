#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "worker/services/http_date.hpp"
#include "worker/services/http_encoding.hpp"
#include "worker/services/http_status.hpp"

// Heads of responses. A head is a start, which render_start() writes anew for each response, and
// fields that end with the empty line, which are rendered once for each file or page.

namespace preforkd::worker::http {

/// What a response says of the connection. RFC 9112 §9.3: HTTP/1.1 persists unasked.
enum class Persistence : std::uint8_t { persists, persists_explicitly, closes };

/// What the heads of a second begin with, rendered when it changes.
class HeadStarts {
  public:
    /// Cheap when `now` is what it was.
    void renew(UnixTime now) noexcept {
        if (now != second_) render(now);
    }

    static constexpr std::string_view ok_line = "HTTP/1.1 200 OK\r\n";
    static constexpr std::string_view server_line = "Server: preforkd\r\n";
    static constexpr std::size_t ok_size =
        ok_line.size() + server_line.size() + sizeof("Date: \r\n") - 1 + sizeof(DateText);

    /// The status line of a 200, Server and Date; of a constant size, so that copying is cheap.
    [[nodiscard]] const char* ok() const noexcept { return text_.data(); }

    /// Server and Date.
    [[nodiscard]] std::string_view fields() const noexcept {
        return {text_.data() + ok_line.size(), ok_size - ok_line.size()};
    }

  private:
    void render(UnixTime now) noexcept;

    std::array<char, ok_size> text_;
    UnixTime second_ = -1;
};

/// Bytes that render_start() may need.
inline constexpr std::size_t start_capacity = 160;

/// Copies `text` to `into` and returns what comes behind it.
inline char* append(char* into, std::string_view text) noexcept {
    return std::copy(text.begin(), text.end(), into);  // memcpy(3) takes no null pointer
}

/// Writes status line, Server, Date and Connection; returns the end. Requires: `starts` was
/// renewed; start_capacity bytes at `into`.
inline char* render_start(char* into, Status status, const HeadStarts& starts,
                          Persistence persistence) noexcept {
    if (status == Status::ok) {
        std::memcpy(into, starts.ok(), HeadStarts::ok_size);
        into += HeadStarts::ok_size;
    } else {
        into = append(append(into, status_line(status)), starts.fields());
    }
    if (persistence == Persistence::closes) return append(into, "Connection: close\r\n");
    if (persistence == Persistence::persists_explicitly)
        return append(into, "Connection: keep-alive\r\n");
    return into;
}

/// What every response carries by configuration, as whole lines with CRLF.
struct ConfiguredFields {
    std::string cache;  ///< Cache-Control, for files alone
    std::string added;  ///< add_header, for every response
};

/// A selected representation.
struct Representation {
    std::string_view type;
    std::string_view etag;
    std::uint64_t size = 0;
    UnixTime modified = 0;
    Coding coding = Coding::identity;
    bool varies = false;  ///< another Accept-Encoding could select another
};

/// The fields of a 200.
[[nodiscard]] std::string whole_fields(const Representation& file, const ConfiguredFields& fields);

/// The fields of a 304. Source: RFC 9110 §15.4.5.
[[nodiscard]] std::string not_modified_fields(const Representation& file,
                                              const ConfiguredFields& fields);

/// The fields of a 206 of one range.
[[nodiscard]] std::string partial_fields(const Representation& file, const ConfiguredFields& fields,
                                         std::string_view content_range, std::uint64_t length);

/// The fields of a 206 of several ranges.
[[nodiscard]] std::string multipart_fields(const Representation& file,
                                           const ConfiguredFields& fields,
                                           std::string_view boundary, std::uint64_t length);

/// Everything behind the start of a response that no file is behind: fields, then content.
struct Page {
    std::string text;
    std::size_t fields_size = 0;

    [[nodiscard]] std::string_view fields() const noexcept {
        return std::string_view(text).substr(0, fields_size);
    }
    [[nodiscard]] std::string_view content() const noexcept {
        return std::string_view(text).substr(fields_size);
    }
};

/// `more_fields` are whole lines.
[[nodiscard]] Page make_page(std::string_view type, std::string_view content,
                             std::string_view more_fields);

/// The answers to requests that don't get a file, rendered once.
class Pages {
  public:
    struct Custom {
        std::string type;
        std::string content;
    };

    Pages(const ConfiguredFields& fields, const std::map<Status, Custom>& custom);

    /// Requires: `status` is 4xx or 5xx.
    [[nodiscard]] const Page& of(Status status) const noexcept;

    /// The answer to OPTIONS.
    [[nodiscard]] const Page& options() const noexcept { return options_; }

  private:
    std::map<Status, Page> pages_;
    Page options_;
};

}  // namespace preforkd::worker::http
