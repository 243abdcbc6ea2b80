#include "worker/services/http_response.hpp"

#include <fmt/format.h>

#include <cassert>

#include "worker/services/http_html.hpp"

namespace preforkd::worker::http {
namespace {

constexpr std::string_view allowed = "Allow: GET, HEAD, OPTIONS\r\n";

constexpr Status page_statuses[] = {
    Status::bad_request,           Status::forbidden,           Status::not_found,
    Status::method_not_allowed,    Status::request_timeout,     Status::precondition_failed,
    Status::content_too_large,     Status::uri_too_long,        Status::range_not_satisfiable,
    Status::expectation_failed,    Status::misdirected_request, Status::fields_too_large,
    Status::internal_error,        Status::not_implemented,     Status::unavailable,
    Status::version_not_supported,
};

std::string_view coding_fields(const Representation& file) noexcept {
    switch (file.coding) {
        case Coding::gzip:
            return "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n";
        case Coding::brotli:
            return "Content-Encoding: br\r\nVary: Accept-Encoding\r\n";
        case Coding::identity:
            break;
    }
    return file.varies ? "Vary: Accept-Encoding\r\n" : "";
}

/// What 200 and 206 end with.
std::string common_fields(const Representation& file, const ConfiguredFields& fields) {
    return fmt::format("Last-Modified: {}\r\nETag: {}\r\nAccept-Ranges: bytes\r\n{}{}{}\r\n",
                       view(format_date(file.modified)), file.etag, coding_fields(file),
                       fields.cache, fields.added);
}

}  // namespace

void HeadStarts::render(UnixTime now) noexcept {
    second_ = now;
    const DateText date = format_date(now);
    char* into = append(append(text_.data(), ok_line), server_line);
    append(append(append(into, "Date: "), view(date)), "\r\n");
}

std::string whole_fields(const Representation& file, const ConfiguredFields& fields) {
    return fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n{}", file.type, file.size,
                       common_fields(file, fields));
}

std::string not_modified_fields(const Representation& file, const ConfiguredFields& fields) {
    const bool varies = file.varies || file.coding != Coding::identity;
    return fmt::format("Last-Modified: {}\r\nETag: {}\r\n{}{}{}\r\n",
                       view(format_date(file.modified)), file.etag,
                       varies ? "Vary: Accept-Encoding\r\n" : "", fields.cache, fields.added);
}

std::string partial_fields(const Representation& file, const ConfiguredFields& fields,
                           std::string_view content_range, std::uint64_t length) {
    return fmt::format("Content-Type: {}\r\nContent-Length: {}\r\nContent-Range: {}\r\n{}",
                       file.type, length, content_range, common_fields(file, fields));
}

std::string multipart_fields(const Representation& file, const ConfiguredFields& fields,
                             std::string_view boundary, std::uint64_t length) {
    return fmt::format(
        "Content-Type: multipart/byteranges; boundary={}\r\nContent-Length: {}\r\n{}", boundary,
        length, common_fields(file, fields));
}

Page make_page(std::string_view type, std::string_view content, std::string_view more_fields) {
    Page page{fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n{}\r\n", type, content.size(),
                          more_fields),
              0};
    page.fields_size = page.text.size();
    page.text += content;
    return page;
}

Pages::Pages(const ConfiguredFields& fields, const std::map<Status, Custom>& custom) {
    for (const Status status : page_statuses) {
        std::string more = fields.added;
        if (status == Status::method_not_allowed) more += allowed;
        if (status == Status::unavailable) more += "Retry-After: 2\r\n";
        const auto found = custom.find(status);
        pages_[status] = found == custom.end()
                             ? make_page("text/html; charset=utf-8", error_page(status), more)
                             : make_page(found->second.type, found->second.content, more);
    }
    options_.text = fmt::format("{}{}\r\n", allowed, fields.added);
    options_.fields_size = options_.text.size();
}

const Page& Pages::of(Status status) const noexcept {
    const auto found = pages_.find(status);
    assert(found != pages_.end());
    return found->second;
}

}  // namespace preforkd::worker::http
