#pragma once

#include <string>

// What is in a response.

namespace preforkd::test {

/// The status of a response, or of the first of several.
inline std::string status_of(const std::string& response) {
    return response.substr(0, 9) == "HTTP/1.1 " ? response.substr(9, 3) : "?";
}

/// The value of a field, "-" if it isn't there.
inline std::string field_of(const std::string& response, const std::string& name) {
    const std::string head = response.substr(0, response.find("\r\n\r\n") + 2);
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "-";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

inline std::string content_of(const std::string& response) {
    const std::size_t end = response.find("\r\n\r\n");
    return end == std::string::npos ? "" : response.substr(end + 4);
}

/// "200 hello": the status and the content.
inline std::string summary_of(const std::string& response) {
    return status_of(response) + " " + content_of(response);
}

inline std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

}  // namespace preforkd::test
