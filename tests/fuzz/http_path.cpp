// Whatever the path: what comes out stays below the root and is one name after the other.

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "worker/services/http_path.hpp"

using namespace preforkd::worker::http;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void check_names(std::string_view path, bool serve_dotfiles) {
    bool is_first = true;
    while (!path.empty()) {
        const std::string_view name = path.substr(0, path.find('/'));
        require(!name.empty() && name != "." && name != ".." && is_valid_utf8(name));
        for (const char byte : name) require(static_cast<unsigned char>(byte) >= 0x20);
        require(serve_dotfiles || name.front() != '.' || (is_first && name == ".well-known"));
        path.remove_prefix(name.size());
        require(path.empty() || path.size() > 1);
        if (!path.empty()) path.remove_prefix(1);
        is_first = false;
    }
}

// What was cleaned, encoded again, is cleaned to the same.
void check_round_trip(const CleanPath& cleaned, bool serve_dotfiles) {
    std::string again;
    std::string_view rest = cleaned.path;
    while (!rest.empty()) {
        const std::string_view name = rest.substr(0, rest.find('/'));
        again += "/" + encode_segment(name);
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    }
    if (again.empty()) again = "/";
    std::array<char, path_capacity> buffer;
    const CleanPath second = clean_path(again, serve_dotfiles, buffer);
    require(second.status == Status::uri_too_long ||
            (second.status == Status::ok && second.path == cleaned.path));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 1) return 0;
    const bool serve_dotfiles = (data[0] & 1) != 0;
    const std::string path = "/" + std::string(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::array<char, path_capacity> buffer;
    const CleanPath cleaned = clean_path(path, serve_dotfiles, buffer);
    if (cleaned.status != Status::ok) return 0;
    require(cleaned.path.size() < path_capacity && cleaned.path.size() < path.size());
    require(std::strlen(buffer.data()) == cleaned.path.size());
    check_names(cleaned.path, serve_dotfiles);
    check_round_trip(cleaned, serve_dotfiles);
    const std::string location = folder_location(cleaned.path, "");
    require(location.substr(0, 2) == "./" && location.back() == '/');
    require(location.find_first_of(":\\\"<> \r\n", 0) == std::string::npos);
    return 0;
}
