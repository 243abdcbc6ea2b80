#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "shared/config_docs.hpp"
#include "shared/config_schema.hpp"

namespace preforkd {
namespace {

constexpr std::size_t line_width = 78;

/// For a text line of mdoc(7): no backslash and no first character that would command.
std::string escaped(std::string_view text) {
    std::string result;
    if (text.starts_with('.') || text.starts_with('\'')) result = "\\&";
    for (const char byte : text) result += byte == '\\' ? "\\e" : std::string(1, byte);
    return result;
}

/// Prose: each sentence begins a line, as mdoc(7) wants it.
std::string prose(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        std::size_t end = text.find(". ");
        end = end == std::string_view::npos ? text.size() : end + 1;
        std::string_view lines = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        std::string wrapped_lines = wrapped(lines, line_width, "");
        for (std::size_t at = 0; at < wrapped_lines.size();) {
            const std::size_t stop = wrapped_lines.find('\n', at);
            result += escaped(wrapped_lines.substr(at, stop - at)) + "\n";
            at = stop + 1;
        }
    }
    return result;
}

std::string key_item(const KeySpec& key) {
    std::string text = fmt::format(".It Cm {} No = Ar {}\n", key.name, key.type);
    text += prose(key.doc);
    text += prose(expectation(key));
    text +=
        key.required ? "Required.\n" : prose(fmt::format("Default: {}.", default_in_words(key)));
    if (key.repeatable) text += "May stand several times.\n";
    if (key.reload == Reload::restart) text += "A reload cannot change it.\n";
    return text;
}

std::string key_list(const std::vector<KeySpec>& keys) {
    std::string text = ".Bl -tag -width Ds\n";
    for (const KeySpec& key : keys) text += key_item(key);
    return text + ".El\n";
}

std::string upper(std::string_view text) {
    std::string result;
    for (const char byte : text)
        result += static_cast<char>(std::toupper(static_cast<unsigned char>(byte)));
    return result;
}

constexpr std::string_view introduction = R"(.Sh DESCRIPTION
The file is read when
.Xr {0} 8
starts, and again at each SIGHUP.
All of its faults are reported at once, each with its line.
A file with a fault changes nothing.
.Pp
A line is one of
.Bl -bullet -compact
.It
.Ar key No = Ar value ,
where neither needs quotes;
.It
.Cm [listen.\& Ns Ar name Ns Cm \&] ,
which begins a listener: the keys above the first are the server's;
.It
empty, or a comment: a # and all that follows it is ignored, wherever it stands,
so that no value can hold one.
.El
.Pp
A key stands once in its section, unless it says otherwise here.
A relative path starts from the file's folder; with
.Fl o
and on the command line, from the caller's.
Started as root,
.Nm {0}
refuses a file, or a file in a folder, that someone else owns or can write.
.Pp
On the way to logs, data files, the lock file, the runtime folder and unix
sockets a symbolic link is refused that belongs to neither root nor the user who
starts the server, or that lies below a folder which another user owns, or which
all may write and which isn't sticky.
Such a folder itself is refused on the way to the last three, for who controls
it could replace them.
.Ss Values
.Bl -tag -width "octal mode"
.It duration
A whole number and one of ms, s, m, h: 500ms, 30s.
A number alone is refused.
.It size
A whole number of bytes, or with one of k, m, g: 64k is 65536 bytes.
.It octal mode
Permission bits in octal: 0027.
.It yes or no
Also on or off, true or false.
.It log
A file's path, or one of the words that the key lists.
A log file is opened by the master, and again at SIGUSR1.
.It path
A file's or a folder's.
It is made absolute when it is read.
.El
)";

}  // namespace

std::string manual_page(std::string_view program, const std::vector<ServiceSpec>& services) {
    std::string text = fmt::format(
        ".\\\" Made from the declarations of the keys; change them, not this.\n"
        ".Dd November 23, 2026\n.Dt {} 5\n.Os\n.Sh NAME\n.Nm {}.conf\n"
        ".Nd configuration of the preforking TCP server\n",
        upper(fmt::format("{}.conf", program)), program);
    text += fmt::format(introduction, program);
    text += ".Sh KEYS OF THE SERVER\n" + key_list(global_keys());
    text += ".Sh KEYS OF A LISTENER\n" + key_list(listener_keys_for(services));
    text += ".Sh SERVICES\n";
    for (const ServiceSpec& service : services) {
        text += fmt::format(".Ss service = {}\n{}", service.name, prose(service.doc));
        text += service.keys.empty() ? "It has no keys of its own.\n" : key_list(service.keys);
    }
    text += fmt::format(
        ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/preforkd/{0}.conf\nThe file that is read "
        "without\n"
        ".Fl c .\n.El\n.Sh SEE ALSO\n.Xr {0} 8\n",
        program);
    return text;
}

}  // namespace preforkd
