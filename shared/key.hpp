#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include "value_text.hpp"  // by bare name, for this header is installed

// A configuration key, declared once, and bound to a field of any struct:
//
//     struct HttpOptions { std::filesystem::path root; std::chrono::milliseconds idle_timeout; };
//
//     const std::vector<KeySpec> http_keys = {
//         Key<std::filesystem::path>{.name = "root", .field = &HttpOptions::root,
//                                    .opens = Opens::folder, .required = true,
//                                    .doc = "The folder that is served."},
//         Key<milliseconds>{.name = "idle_timeout", .field = &HttpOptions::idle_timeout,
//                           .def = 60s, .min = 1s, .max = 1h,
//                           .doc = "How long a connection may be silent between requests."},
//     };
//
// Parsing, range checks, --help, the manual, the sample file and the reload plan come from it.

namespace preforkd {

/// Whether SIGHUP can put a changed value into service.
enum class Reload { on_hup, restart };

/// What the master opens before it forks, and hands to the worker, so that the worker needs no
/// rights on the way there.
enum class Opens {
    nothing,
    folder,     ///< O_PATH | O_DIRECTORY
    file,       ///< read only
    data_file,  ///< read and write; if missing, created O_EXCL | O_NOFOLLOW for the worker's user
    data_with_lock,  ///< the same, and so PATH-lock beside it, as "KEY-lock"
};

/// What is wrong with a file's content; nothing when `what` is empty.
struct ContentProblem {
    unsigned line = 0;  ///< 0: none in particular
    std::string what;   ///< with what is expected instead
};

/// That the file which a key's value names is read whole by the master when it loads the
/// configuration: all workers of a generation get the same content, whatever becomes of the file,
/// and need no rights to read it. An absent file is a fault, unless it is the key's default.
struct CopiedFile {
    ByteCount limit{64 * 1024};
    /// The master calls it, so it must be fit for any bytes.
    std::function<ContentProblem(std::string_view content)> check{};
};

/// A member of some struct, whose type only the declaration knows.
template <class T>
class Field {
  public:
    Field() = default;

    template <class Struct>
    Field(T Struct::*member)
        : owner_(typeid(Struct)),
          find_([member](void* options) -> T& { return static_cast<Struct*>(options)->*member; }) {}

    [[nodiscard]] std::type_index owner() const { return owner_; }
    /// Requires: `options` points at a struct of the type owner().
    [[nodiscard]] T& of(void* options) const { return find_(options); }

  private:
    std::type_index owner_ = typeid(void);
    std::function<T&(void*)> find_;
};

template <class T>
concept Enumeration = std::is_enum_v<T>;

// The members that every kind of key has:
//   name          [a-z0-9_]+
//   field         the member that receives the value
//   def           the value when the file doesn't say
//   required      the file must say; there is no default
//   reload        whether SIGHUP can change it
//   copied        the file that it names is read by the master (of paths, lists and the like)
//   example       what the sample file shows instead of the default
//   default_note  what the manual says instead of the default, where that is decided at start
//   doc           one or more sentences

/// bool (yes, no, on, off, true, false), std::string, UserName, GroupName, and
/// std::vector<std::string>, whose key may stand several times.
template <class T>
struct Key {
    std::string name{};
    Field<T> field{};
    T def{};
    std::optional<CopiedFile> copied{};
    bool required = false;
    Reload reload = Reload::on_hup;
    std::string example{};
    std::string default_note{};
    std::string doc{};
};

/// Integers, durations (ms, s, m, h), sizes (k, m, g), octal modes. Range: [min, max].
/// `zero` is a word that means T{}, beside the range: "auto", "off".
template <Ranged T>
struct Key<T> {
    std::string name{};
    Field<T> field{};
    T def{};
    T min{};
    T max = largest<T>();
    std::string zero{};
    bool required = false;
    Reload reload = Reload::on_hup;
    std::string example{};
    std::string default_note{};
    std::string doc{};
};

/// The same, where no value at all (`key =`, the default) means something of its own.
template <Ranged T>
struct Key<std::optional<T>> {
    std::string name{};
    Field<std::optional<T>> field{};
    std::optional<T> def{};
    T min{};
    T max = largest<T>();
    std::string zero{};
    bool required = false;
    Reload reload = Reload::on_hup;
    std::string example{};
    std::string default_note{};
    std::string doc{};
};

/// One of a few words.
template <Enumeration T>
struct Key<T> {
    std::string name{};
    Field<T> field{};
    T def{};
    std::vector<std::pair<std::string, T>> choices{};
    bool required = false;
    Reload reload = Reload::on_hup;
    std::string example{};
    std::string default_note{};
    std::string doc{};
};

/// A path: absolute once read. In a file it is relative to the file's folder, on the command line
/// to the caller's.
template <>
struct Key<std::filesystem::path> {
    std::string name{};
    Field<std::filesystem::path> field{};
    std::filesystem::path def{};
    Opens opens = Opens::nothing;
    std::optional<CopiedFile> copied{};
    bool required = false;
    Reload reload = Reload::on_hup;
    std::string example{};
    std::string default_note{};
    std::string doc{};
};

// ---- The erased key ----

/// The outcome of checking one value's text: its canonical form, or what is wrong with it.
struct CheckedText {
    std::string text;
    std::string problem;  ///< empty: nothing; else "'2h' is out of range; expected 1s to 1h"
};

/// One key, of any type, as a value: built from a Key<T>, copied freely.
struct KeySpec {
    template <class T>
    KeySpec(const Key<T>& key);  // implicit, so that a list of keys reads as one

    std::string name;
    std::string type;      ///< for documents: "duration", "path"
    std::string expected;  ///< for faults and documents: "1s to 1h (units: ms, s, m, h)"
    std::string default_note;
    std::string example;
    std::string doc;
    std::vector<std::string> default_texts;  ///< one; none if required; any number if repeatable
    Reload reload;
    Opens opens = Opens::nothing;
    std::optional<CopiedFile> copied;
    bool required;
    bool repeatable = false;

    /// Checks one value. `base` is the folder that a relative path starts from. No text at all is
    /// accepted where that is the default.
    std::function<CheckedText(std::string_view text, const std::filesystem::path& base)> check;

    /// The path of the file that a canonical text names; empty where this kind names none.
    std::function<std::filesystem::path(std::string_view text)> file_in;

    /// The struct that store() and render() want.
    std::type_index owner;

    /// Puts checked texts into the field: exactly one, or any number for a repeatable key.
    /// Requires: `options` points at an `owner`.
    std::function<void(const std::vector<std::string>& texts, void* options)> store;

    /// The field's canonical texts. Requires: `options` points at an `owner`.
    std::function<std::vector<std::string>(const void* options)> render;
};

// ---- How a kind of key reads and writes one value; an own kind overloads these four, and
// file_of() where a value names a file ----

template <class T>
std::string type_name(const Key<T>&) {
    if constexpr (std::same_as<T, bool>) return "yes or no";
    if constexpr (std::same_as<T, UserName>) return "user";
    if constexpr (std::same_as<T, GroupName>) return "group";
    return "text";
}
template <class T>
std::string expected_text(const Key<T>& key) {
    if constexpr (std::same_as<T, UserName>) return "the name of a user";
    if constexpr (std::same_as<T, GroupName>) return "the name of a group";
    return type_name(key);
}
template <class T, class Value>
std::string parse_for(const Key<T>&, std::string_view text, const std::filesystem::path&,
                      Value& value) {
    return parse_value(text, value);
}
template <class T, class Value>
std::string render_for(const Key<T>&, const Value& value) {
    return render_value(value);
}
template <class T, class Value>
std::filesystem::path file_of(const Key<T>&, const Value&) {
    return {};
}

template <Ranged T>
std::string type_name(const Key<T>&) {
    if constexpr (is_duration<T>) return "duration";
    if constexpr (std::same_as<T, ByteCount>) return "size";
    if constexpr (std::same_as<T, FileMode>) return "octal mode";
    return "number";
}
template <Ranged T>
std::string expected_text(const Key<T>& key) {
    const bool limited = key.max < largest<T>() || std::same_as<T, FileMode>;
    std::string text = range_text(key.zero, render_value(key.min),
                                  limited ? render_value(key.max) : std::string());
    if constexpr (in_whole_seconds<T>) text += ", in whole seconds (units: s, m, h)";
    if constexpr (is_duration<T> && !in_whole_seconds<T>) text += " (units: ms, s, m, h)";
    if constexpr (std::same_as<T, ByteCount>) text += " (bytes, or units: k, m, g)";
    return text;
}
template <Ranged T>
std::string parse_for(const Key<T>& key, std::string_view text, const std::filesystem::path&,
                      T& value) {
    if (!key.zero.empty() && text == key.zero) {
        value = T{};
        return {};
    }
    if (std::string problem = parse_value(text, value); !problem.empty()) return problem;
    return value < key.min || key.max < value ? "is out of range" : "";
}
template <Ranged T>
std::string render_for(const Key<T>& key, const T& value) {
    return value == T{} && !key.zero.empty() ? key.zero : render_value(value);
}

/// The key of the value inside the optional.
template <Ranged T>
Key<T> inner_key(const Key<std::optional<T>>& key) {
    return {.min = key.min, .max = key.max, .zero = key.zero};
}
template <Ranged T>
std::string type_name(const Key<std::optional<T>>& key) {
    return type_name(inner_key(key));
}
template <Ranged T>
std::string expected_text(const Key<std::optional<T>>& key) {
    return expected_text(inner_key(key));
}
template <Ranged T>
std::string parse_for(const Key<std::optional<T>>& key, std::string_view text,
                      const std::filesystem::path& base, std::optional<T>& value) {
    return parse_for(inner_key(key), text, base, value.emplace());
}
template <Ranged T>
std::string render_for(const Key<std::optional<T>>& key, const std::optional<T>& value) {
    return value ? render_for(inner_key(key), *value) : std::string();
}

template <Enumeration T>
std::string type_name(const Key<T>&) {
    return "word";
}
template <Enumeration T>
std::string expected_text(const Key<T>& key) {
    std::vector<std::string> words;
    for (const auto& choice : key.choices) words.push_back(choice.first);
    return either_of(words);
}
template <Enumeration T>
std::string parse_for(const Key<T>& key, std::string_view text, const std::filesystem::path&,
                      T& value) {
    for (const auto& choice : key.choices) {
        if (choice.first != text) continue;
        value = choice.second;
        return {};
    }
    return "is not a choice";
}
template <Enumeration T>
std::string render_for(const Key<T>& key, const T& value) {
    for (const auto& choice : key.choices)
        if (choice.second == value) return choice.first;
    return {};
}

inline std::string type_name(const Key<std::filesystem::path>&) {
    return "path";
}
inline std::string expected_text(const Key<std::filesystem::path>&) {
    return "a path";
}
inline std::string parse_for(const Key<std::filesystem::path>&, std::string_view text,
                             const std::filesystem::path& base, std::filesystem::path& value) {
    value = absolute_path(text, base);
    return {};
}
inline std::string render_for(const Key<std::filesystem::path>&,
                              const std::filesystem::path& value) {
    return value.string();
}
inline std::filesystem::path file_of(const Key<std::filesystem::path>&,
                                     const std::filesystem::path& value) {
    return value;
}

template <class T>
struct ListElement {
    using type = T;
};
template <class T>
struct ListElement<std::vector<T>> {
    using type = T;
};

template <class T>
KeySpec::KeySpec(const Key<T>& key)
    : name(key.name),
      type(type_name(key)),
      expected(expected_text(key)),
      default_note(key.default_note),
      example(key.example),
      doc(key.doc),
      reload(key.reload),
      required(key.required),
      owner(key.field.owner()) {
    using Element = typename ListElement<T>::type;
    constexpr bool is_list = !std::same_as<T, Element>;
    repeatable = is_list;
    if constexpr (requires { key.opens; }) opens = key.opens;
    if constexpr (requires { key.copied; }) copied = key.copied;

    const auto texts_of = [key](const T& value) -> std::vector<std::string> {
        if constexpr (!is_list) return {render_for(key, value)};
        std::vector<std::string> texts;
        if constexpr (is_list)
            for (const Element& element : value) texts.push_back(render_for(key, element));
        return texts;
    };
    if (!required) default_texts = texts_of(key.def);
    const bool may_be_empty =
        !required && (is_list || std::same_as<T, std::string> || default_texts.front().empty());

    check = [key, may_be_empty, wanted = expected](std::string_view text,
                                                   const std::filesystem::path& base) {
        CheckedText checked;
        if (text.empty() && may_be_empty) return checked;
        Element value{};
        const std::string problem = text.empty() ? "" : parse_for(key, text, base, value);
        if (text.empty())
            checked.problem = "no value; expected " + wanted;
        else if (problem.empty())
            checked.text = render_for(key, value);
        else
            checked.problem = value_problem(text, problem, wanted);
        return checked;
    };
    file_in = [key](std::string_view text) {
        Element value{};
        const bool is_none = text.empty() || !parse_for(key, text, "/", value).empty();
        return is_none ? std::filesystem::path() : file_of(key, value);
    };
    store = [key](const std::vector<std::string>& texts, void* options) {
        T& field = key.field.of(options) = T{};
        for (const std::string& text : texts) {
            Element value{};
            if (text.empty() || !parse_for(key, text, "/", value).empty()) continue;
            if constexpr (is_list)
                field.push_back(std::move(value));
            else
                field = std::move(value);
        }
    };
    render = [key, texts_of](const void* options) {
        return texts_of(key.field.of(const_cast<void*>(options)));
    };
}

}  // namespace preforkd
