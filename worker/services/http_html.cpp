#include "worker/services/http_html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "worker/services/http_path.hpp"

namespace preforkd::worker::http {
namespace {

constexpr std::string_view page_start =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

constexpr std::string_view listing_style =
    "<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { font: 1rem/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto;"
    " padding: 0 1rem; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th, td { padding: .2rem .6rem; text-align: left; }\n"
    "tr + tr { border-top: 1px solid #8884; }\n"
    ".size, .date { text-align: right; white-space: nowrap;"
    " font-variant-numeric: tabular-nums; }\n"
    "a { text-decoration: none; overflow-wrap: anywhere; }\n"
    "a:hover { text-decoration: underline; }\n"
    "</style>\n";

constexpr std::string_view error_style =
    "<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 20vh auto;"
    " padding: 0 1rem; }\n"
    "</style>\n";

std::size_t length_of_first_character(std::string_view text) noexcept {
    for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length)
        if (is_valid_utf8(text.substr(0, length))) return length;
    return 0;
}

std::string_view what_happened(Status status) noexcept {
    switch (status) {
        case Status::bad_request:
            return "The server could not understand this request.";
        case Status::forbidden:
            return "You may not see this.";
        case Status::not_found:
            return "There is nothing at this address.";
        case Status::method_not_allowed:
            return "Files can only be read here.";
        case Status::request_timeout:
            return "The request did not arrive in time.";
        case Status::precondition_failed:
            return "The file is not in the state you expected.";
        case Status::content_too_large:
        case Status::uri_too_long:
        case Status::fields_too_large:
            return "The request is larger than this server allows.";
        case Status::range_not_satisfiable:
            return "The file has no such part.";
        case Status::expectation_failed:
            return "The server cannot do what the request expects.";
        case Status::misdirected_request:
            return "This address is not served on this connection.";
        case Status::not_implemented:
            return "The server does not know this method.";
        case Status::unavailable:
            return "The server is busy. Please try again in a moment.";
        case Status::version_not_supported:
            return "The server speaks HTTP/1.1.";
        case Status::moved_permanently:
            return "The address ends with a slash.";
        default:
            return "Something went wrong on the server.";
    }
}

std::string readable_size(std::uint64_t bytes) {
    constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(units); value /= 1024) ++unit;
    if (unit == 0) return fmt::format("{} B", bytes);
    return fmt::format("{:.1f} {}", value, units[unit]);
}

/// "1994-11-06 08:49" of "Sun, 06 Nov 1994 08:49:37 GMT".
std::string readable_time(UnixTime time) {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const DateText text = format_date(time);
    const std::string_view date = view(text);
    return fmt::format("{}-{:02}-{} {}", date.substr(12, 4), months.find(date.substr(8, 3)) / 3 + 1,
                       date.substr(5, 2), date.substr(17, 5));
}

void append_row(std::string& page, const ListingEntry& entry) {
    const std::string_view slash = entry.is_folder ? "/" : "";
    fmt::format_to(std::back_inserter(page),
                   "<tr><td><a href=\"{}{}\">{}{}</a></td><td class=\"size\">{}</td>"
                   "<td class=\"date\">{}</td></tr>\n",
                   encode_segment(entry.name), slash, escape_html(entry.name), slash,
                   entry.is_folder ? "" : readable_size(entry.size), readable_time(entry.modified));
}

}  // namespace

std::string escape_html(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = length_of_first_character(text);
        const char first = text.front();
        const bool is_control = static_cast<unsigned char>(first) < 0x20 || first == 0x7f;
        if (length == 0 || is_control)
            escaped += "\xef\xbf\xbd";
        else if (first == '&')
            escaped += "&amp;";
        else if (first == '<')
            escaped += "&lt;";
        else if (first == '>')
            escaped += "&gt;";
        else if (first == '"')
            escaped += "&quot;";
        else if (first == '\'')
            escaped += "&#39;";
        else
            escaped += text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(1, length));
    }
    return escaped;
}

std::string error_page(Status status) {
    return fmt::format(
        "{}<title>{} {}</title>\n{}</head>\n<body>\n<h1>{} {}</h1>\n<p>{}</p>\n</body>\n</html>\n",
        page_start, code(status), reason_phrase(status), error_style, code(status),
        reason_phrase(status), what_happened(status));
}

std::string listing_page(std::string_view path, std::vector<ListingEntry> entries, bool is_cut) {
    std::sort(entries.begin(), entries.end(), [](const ListingEntry& a, const ListingEntry& b) {
        return a.is_folder != b.is_folder ? a.is_folder : a.name < b.name;
    });
    const std::string title = escape_html(path.empty() ? "/" : fmt::format("/{}/", path));
    std::string page = fmt::format(
        "{}<title>{}</title>\n{}</head>\n<body>\n<h1>{}</h1>\n<table>\n"
        "<tr><th>Name</th><th class=\"size\">Size</th>"
        "<th class=\"date\">Changed (UTC)</th></tr>\n",
        page_start, title, listing_style, title);
    if (!path.empty()) page += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";
    for (const ListingEntry& entry : entries) append_row(page, entry);
    page += "</table>\n";
    if (is_cut) page += "<p>There is more in this folder than is shown here.</p>\n";
    page += "</body>\n</html>\n";
    return page;
}

}  // namespace preforkd::worker::http
