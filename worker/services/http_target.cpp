#include "worker/services/http_target.hpp"

#include <arpa/inet.h>

#include <cstring>

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

bool is_ipv6_address(std::string_view text) noexcept {
    char terminated[INET6_ADDRSTRLEN];
    if (text.size() >= sizeof terminated) return false;
    std::memcpy(terminated, text.data(), text.size());
    terminated[text.size()] = '\0';
    in6_addr address;
    return ::inet_pton(AF_INET6, terminated, &address) == 1;
}

bool is_port(std::string_view text) noexcept {
    unsigned port = 0;
    for (const char digit : text) {
        if (!is(digit_character, digit)) return false;
        port = port * 10 + static_cast<unsigned>(digit - '0');
        if (port > 65535) return false;
    }
    return true;  // "host:" is valid: RFC 3986 has *DIGIT
}

bool is_registered_name(std::string_view text) noexcept {
    if (text.empty() || !all(host_character, text)) return false;
    for (std::size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1))
        if (i + 2 >= text.size() || !all(hex_character, text.substr(i + 1, 2))) return false;
    return true;
}

void split_query(std::string_view path_and_query, RequestHead& head) noexcept {
    const std::size_t mark = path_and_query.find('?');
    head.path = path_and_query.substr(0, mark);
    if (mark != std::string_view::npos) head.query = path_and_query.substr(mark);
}

bool refuse(Refusal& refusal, Status status, const char* why) noexcept {
    refusal = {status, why};
    return false;
}

bool read_absolute(RequestHead& head, Refusal& refusal) noexcept {
    const std::size_t colon = head.target.find("://");
    if (colon == std::string_view::npos)
        return refuse(refusal, Status::bad_request, "target is neither a path nor a URI");
    const std::string_view scheme = head.target.substr(0, colon);
    if (equals_ignoring_case(scheme, "https"))
        return refuse(refusal, Status::misdirected_request, "https target on a plain connection");
    if (!equals_ignoring_case(scheme, "http"))
        return refuse(refusal, Status::bad_request, "target has a scheme other than http");
    const std::string_view rest = head.target.substr(colon + 3);
    const std::size_t end = rest.find_first_of("/?");
    const std::string_view authority = rest.substr(0, end);
    if (!is_valid_authority(authority))
        return refuse(refusal, Status::bad_request, "invalid host in the target");
    // The Host field is to be ignored then. Source: RFC 9112 §3.2.2.
    head.host = authority;
    head.form = TargetForm::absolute;
    split_query(end == std::string_view::npos ? std::string_view() : rest.substr(end), head);
    if (head.path.empty()) head.path = "/";
    return true;
}

}  // namespace

bool is_valid_authority(std::string_view text) noexcept {
    if (!text.empty() && text.front() == '[') {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) return false;
        const std::string_view port = text.substr(bracket + 1);
        return is_ipv6_address(text.substr(1, bracket - 1)) &&
               (port.empty() || (port.front() == ':' && is_port(port.substr(1))));
    }
    const std::size_t colon = text.find(':');
    return is_registered_name(text.substr(0, colon)) &&
           (colon == std::string_view::npos || is_port(text.substr(colon + 1)));
}

bool read_target(RequestHead& head, Refusal& refusal) noexcept {
    if (head.method_text == "CONNECT") {
        if (!is_valid_authority(head.target) || head.target.find(':') == std::string_view::npos)
            return refuse(refusal, Status::bad_request, "CONNECT without host and port");
        head.form = TargetForm::authority;
        return true;
    }
    if (head.target.front() == '/') {
        head.form = TargetForm::origin;
        split_query(head.target, head);
        return true;
    }
    if (head.target == "*") {
        if (head.method != Method::options)
            return refuse(refusal, Status::bad_request, "target * is for OPTIONS alone");
        head.form = TargetForm::asterisk;
        return true;
    }
    return read_absolute(head, refusal);
}

}  // namespace preforkd::worker::http
