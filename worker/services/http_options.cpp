#include "worker/services/http_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <preforkd/connection.hpp>

#include "worker/services/http_files.hpp"
#include "worker/services/http_mime.hpp"
#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

// What the server itself says of a response, and must not be contradicted in.
constexpr std::string_view own_fields[] = {
    "accept-ranges",  "allow",         "connection",        "content-encoding",
    "content-length", "content-range", "content-type",      "date",
    "etag",           "keep-alive",    "last-modified",     "location",
    "server",         "trailer",       "transfer-encoding", "upgrade",
    "retry-after",
};

std::optional<Status> error_status(std::string_view text) {
    if (text.size() != 3 || !all(digit_character, text) || (text[0] != '4' && text[0] != '5'))
        return {};
    const Status status{
        static_cast<std::uint16_t>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'))};
    if (status_line(status) == status_line(Status::internal_error) &&
        status != Status::internal_error)
        return {};
    return status;
}

const Setting& find(const std::vector<Setting>& settings, std::string_view key) {
    static const Setting none;
    const auto found = std::ranges::find(settings, key, &Setting::key);
    return found == settings.end() ? none : *found;
}

/// Of value number `number`; nowhere when it is a default.
Origin origin_of(const Setting& setting, std::size_t number) {
    return number < setting.origins.size() ? setting.origins[number] : Origin{};
}

void report_second_pages(const Setting& pages, std::vector<SettingProblem>& problems) {
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < pages.values.size(); ++i) {
        const std::string status = pages.values[i].substr(0, pages.values[i].find(' '));
        const auto [known, is_new] = first.emplace(status, i);
        if (is_new) continue;
        problems.push_back({origin_of(pages, i),
                            fmt::format("error_page: {} has its page already, {}", status,
                                        place_of(origin_of(pages, known->second))),
                            "keep one of the two"});
    }
}

void report_cache_said_twice(const Setting& cache, const Setting& fields,
                             std::vector<SettingProblem>& problems) {
    if (cache.values.empty() || cache.values.front().empty()) return;
    for (std::size_t i = 0; i < fields.values.size(); ++i) {
        const std::string_view field = fields.values[i];
        if (!equals_ignoring_case(field.substr(0, field.find(':')), "cache-control")) continue;
        problems.push_back({origin_of(fields, i),
                            fmt::format("add_header: Cache-Control is what 'cache' sets, {}",
                                        place_of(origin_of(cache, 0))),
                            "set either cache or add_header"});
    }
}

/// A list that can't be made empty.
KeySpec never_empty(KeySpec key) {
    key.check = [check = key.check, wanted = key.expected](
                    std::string_view text, const std::filesystem::path& base) -> CheckedText {
        if (text.empty()) return {{}, "no value; expected " + wanted};
        return check(text, base);
    };
    return key;
}

}  // namespace

std::string parse_value(std::string_view text, FileName& value) {
    if (text == "." || text == ".." || text.find('/') != std::string_view::npos)
        return "is not a file's name";
    value.value = text;
    return {};
}

std::string render_value(const FileName& value) {
    return value.value;
}

std::string expected_text(const Key<std::vector<FileName>>&) {
    return "the name of a file, without a slash";
}

std::string parse_value(std::string_view text, AddedField& value) {
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() || !all(token_character, name))
        return "is not a header field";
    const std::string_view content = trim(text.substr(colon + 1));
    for (const char character : content)
        if (is_forbidden_in_value(character)) return "has a control character";
    for (const std::string_view own : own_fields)
        if (equals_ignoring_case(name, own)) return "is a field that the server sets itself";
    value.line = std::string(name) + ": " + std::string(content);
    return {};
}

std::string render_value(const AddedField& value) {
    return value.line;
}

std::string expected_text(const Key<std::vector<AddedField>>&) {
    return "'Name: value'";
}

std::string parse_for(const Key<std::vector<ErrorPage>>&, std::string_view text,
                      const std::filesystem::path& base, ErrorPage& value) {
    const std::size_t blank = text.find_first_of(" \t");
    const std::string_view file = blank == std::string_view::npos ? "" : trim(text.substr(blank));
    const auto status = error_status(text.substr(0, blank));
    if (!status) return "does not start with an error status that this server sends";
    if (file.empty()) return "names no file";
    value = {*status, absolute_path(file, base)};
    return {};
}

std::string render_value(const ErrorPage& value) {
    return std::to_string(code(value.status)) + " " + value.file.string();
}

std::filesystem::path file_of(const Key<std::vector<ErrorPage>>&, const ErrorPage& value) {
    return value.file;
}

std::string expected_text(const Key<std::vector<ErrorPage>>&) {
    return "'STATUS FILE'";
}

std::vector<SettingProblem> contradictions(const std::vector<Setting>& settings) {
    std::vector<SettingProblem> problems;
    report_second_pages(find(settings, "error_page"), problems);
    report_cache_said_twice(find(settings, "cache"), find(settings, "add_header"), problems);
    return problems;
}

std::vector<KeySpec> option_keys() {
    constexpr seconds longest = std::chrono::hours(1);
    return {
        Key<std::filesystem::path>{.name = "root",
                                   .field = &Options::root,
                                   .opens = Opens::folder,
                                   .required = true,
                                   .example = "/srv/www",
                                   .doc = "The folder that is served. It is opened at start and "
                                          "on reload; nothing outside of it can be reached. A path "
                                          "with a segment '.' or '..', or with an escaped slash "
                                          "(%2F), gets status 400."},
        never_empty(
            Key<std::vector<FileName>>{.name = "index",
                                       .field = &Options::index,
                                       .def = {{"index.html"}},
                                       .doc = "The file that stands for its folder. May be given "
                                              "several times; the first that exists is served."}),
        Key<seconds>{.name = "header_timeout",
                     .field = &Options::header_timeout,
                     .def = seconds(10),
                     .min = seconds(1),
                     .max = longest,
                     .doc = "How long a client may take to send the head of a request."},
        Key<seconds>{.name = "body_timeout",
                     .field = &Options::body_timeout,
                     .def = seconds(10),
                     .min = seconds(1),
                     .max = longest,
                     .doc = "How long a client may take to send the body of a request, on top of a "
                            "second for each KiB."},
        Key<seconds>{
            .name = "send_timeout",
            .field = &Options::send_timeout,
            .def = seconds(30),
            .min = seconds(1),
            .max = longest,
            .doc = "How long a client may take less of its response than 1 KiB a second on the "
                   "average before the connection is reset."},
        Key<seconds>{.name = "idle_timeout",
                     .field = &Options::idle_timeout,
                     .def = seconds(75),
                     .min = seconds(1),
                     .max = longest,
                     .doc = "How long a connection may be silent between requests."},
        Key<unsigned>{.name = "max_connections",
                      .field = &Options::max_connections,
                      .def = 0,
                      .min = 1,
                      .max = 1000000,
                      .zero = "auto",
                      .doc =
                          "Connections that one worker serves at a time. Beyond it, the ones that "
                          "have been idle longest are closed, and when none is, new ones get "
                          "status 503. auto: as many as the limit on descriptors allows."},
        Key<ByteCount>{.name = "max_head",
                       .field = &Options::max_head,
                       .def = {16 * 1024},
                       .min = {1024},
                       .max = {Connection::receive_capacity},
                       .doc = "The largest request head. Its target and each of its fields may "
                              "have 8k, and there may be 100 fields. A longer target gets status "
                              "414, all else that is too much 431."},
        Key<ByteCount>{.name = "max_body",
                       .field = &Options::max_body,
                       .def = {1 << 20},
                       .doc = "The largest request body. Bodies are read and discarded."},
        Key<std::optional<seconds>>{
            .name = "cache",
            .field = &Options::cache,
            .max = std::chrono::hours(24 * 366),
            .default_note = "nothing is said of caching",
            .doc = "How long clients may use a file without asking again: "
                   "Cache-Control: max-age; with 0s no-cache. For anything else "
                   "use add_header."},
        Key<Symlinks>{.name = "symlinks",
                      .field = &Options::symlinks,
                      .def = Symlinks::inside,
                      .choices = {{"inside", Symlinks::inside}, {"deny", Symlinks::deny}},
                      .doc =
                          "Whether symbolic links are followed, if they are relative and lead to "
                          "something inside the root; all others never are."},
        Key<bool>{
            .name = "dotfiles",
            .field = &Options::dotfiles,
            .doc = "Whether names that begin with a dot are served. /.well-known/ always is."},
        Key<bool>{.name = "listing",
                  .field = &Options::listing,
                  .doc = "Whether a folder without index is answered with a list of its files, "
                         "10,000 at most."},
        Key<bool>{.name = "precompressed",
                  .field = &Options::precompressed,
                  .def = true,
                  .doc = "Whether NAME.br and NAME.gz are served in place of NAME to clients that "
                         "accept them, unless they are older than NAME."},
        Key<std::vector<ErrorPage>>{.name = "error_page",
                                    .field = &Options::error_page,
                                    .copied = CopiedFile{.limit = {64 * 1024}},
                                    .example = "404 /srv/www/404.html",
                                    .doc = "A status and the file that error responses of this "
                                           "status hold, at most 64k. It is read at start and on "
                                           "reload, by the master, whoever may read it."},
        Key<std::vector<AddedField>>{.name = "add_header",
                                     .field = &Options::add_header,
                                     .example = "X-Content-Type-Options: nosniff",
                                     .doc = "A header field for every response, errors too. None "
                                            "that the server sets itself; Cache-Control only where "
                                            "cache is not set."},
        Key<std::filesystem::path>{
            .name = "mime_types",
            .field = &Options::mime_types,
            .def = std::filesystem::path(default_mime_types),
            .copied = CopiedFile{.limit = {4 << 20}, .check = check_types},
            .doc = "A file that says which Content-Type belongs to which extension, in "
                   "lines such as 'text/html html htm'. What it doesn't name is taken from a "
                   "built-in table, all of it if there is no /etc/mime.types. It is read at "
                   "start and on reload, by the master, whoever may read it."},
    };
}

}  // namespace preforkd::worker::http
