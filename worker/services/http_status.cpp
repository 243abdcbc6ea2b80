#include "worker/services/http_status.hpp"

namespace preforkd::worker::http {

std::string_view status_line(Status status) noexcept {
    switch (status) {
        case Status::ok:
            return "HTTP/1.1 200 OK\r\n";
        case Status::no_content:
            return "HTTP/1.1 204 No Content\r\n";
        case Status::partial_content:
            return "HTTP/1.1 206 Partial Content\r\n";
        case Status::moved_permanently:
            return "HTTP/1.1 301 Moved Permanently\r\n";
        case Status::not_modified:
            return "HTTP/1.1 304 Not Modified\r\n";
        case Status::bad_request:
            return "HTTP/1.1 400 Bad Request\r\n";
        case Status::forbidden:
            return "HTTP/1.1 403 Forbidden\r\n";
        case Status::not_found:
            return "HTTP/1.1 404 Not Found\r\n";
        case Status::method_not_allowed:
            return "HTTP/1.1 405 Method Not Allowed\r\n";
        case Status::request_timeout:
            return "HTTP/1.1 408 Request Timeout\r\n";
        case Status::precondition_failed:
            return "HTTP/1.1 412 Precondition Failed\r\n";
        case Status::content_too_large:
            return "HTTP/1.1 413 Content Too Large\r\n";
        case Status::uri_too_long:
            return "HTTP/1.1 414 URI Too Long\r\n";
        case Status::range_not_satisfiable:
            return "HTTP/1.1 416 Range Not Satisfiable\r\n";
        case Status::expectation_failed:
            return "HTTP/1.1 417 Expectation Failed\r\n";
        case Status::misdirected_request:
            return "HTTP/1.1 421 Misdirected Request\r\n";
        case Status::fields_too_large:
            return "HTTP/1.1 431 Request Header Fields Too Large\r\n";
        case Status::internal_error:
            return "HTTP/1.1 500 Internal Server Error\r\n";
        case Status::not_implemented:
            return "HTTP/1.1 501 Not Implemented\r\n";
        case Status::unavailable:
            return "HTTP/1.1 503 Service Unavailable\r\n";
        case Status::version_not_supported:
            return "HTTP/1.1 505 HTTP Version Not Supported\r\n";
    }
    return "HTTP/1.1 500 Internal Server Error\r\n";
}

std::string_view reason_phrase(Status status) noexcept {
    constexpr std::size_t before = std::string_view("HTTP/1.1 200 ").size();
    const std::string_view line = status_line(status);
    return line.substr(before, line.size() - before - 2);
}

}  // namespace preforkd::worker::http
