#include "worker/services/http_target.hpp"

#include <arpa/inet.h>

#include <algorithm>
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

/// The digits of a port, up to the end; may be empty, for RFC 3986 has *DIGIT.
bool is_port(const char* at, const char* end) noexcept {
    unsigned port = 0;
    for (; at != end; ++at) {
        if (!is(digit_character, *at)) return false;
        port = port * 10 + static_cast<unsigned>(*at - '0');
        if (port > 65535) return false;
    }
    return true;
}

bool has_sound_escapes(std::string_view text) noexcept {
    for (std::size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1))
        if (i + 2 >= text.size() || !all(hex_character, text.substr(i + 1, 2))) return false;
    return true;
}

bool refuse(Refusal& refusal, Status status, const char* why) noexcept {
    refusal = {status, why};
    return false;
}

bool read_absolute(RequestHead& head, Refusal& refusal) noexcept {
    const std::size_t colon = head.path.find("://");
    if (colon == std::string_view::npos)
        return refuse(refusal, Status::bad_request, "target is neither a path nor a URI");
    const std::string_view scheme = head.path.substr(0, colon);
    if (equals_ignoring_case(scheme, "https"))
        return refuse(refusal, Status::misdirected_request, "https target on a plain connection");
    if (!equals_ignoring_case(scheme, "http"))
        return refuse(refusal, Status::bad_request, "target has a scheme other than http");
    const std::string_view rest = head.path.substr(colon + 3);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view authority = rest.substr(0, end);
    if (!is_valid_authority(authority))
        return refuse(refusal, Status::bad_request, "invalid host in the target");
    // The Host field is to be ignored then. Source: RFC 9112 §3.2.2.
    head.host = authority;
    head.form = TargetForm::absolute;
    head.path = end == rest.size() ? "/" : rest.substr(end);
    return true;
}

}  // namespace

bool is_valid_authority(std::string_view text) noexcept {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* host_end = skip(host_character, begin, end);
    if (host_end != end && *host_end == '%') {
        host_end = skip(escaped_host_character, host_end, end);
        const auto length = static_cast<std::size_t>(host_end - begin);
        if (!has_sound_escapes(text.substr(0, length))) return false;
    }
    if (host_end == begin) {
        const std::size_t bracket = text.find(']');
        if (text.empty() || text.front() != '[' || bracket == std::string_view::npos) return false;
        if (!is_ipv6_address(text.substr(1, bracket - 1))) return false;
        host_end = begin + bracket + 1;
    }
    return host_end == end || (*host_end == ':' && is_port(host_end + 1, end));
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
