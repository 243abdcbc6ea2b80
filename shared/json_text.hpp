#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace preforkd {

/// Builds one JSON value, on one line, in ASCII: bytes that JSON or a terminal could stumble over
/// are \u00NN. Source: RFC 8259.
class JsonText {
  public:
    void begin_object() { open('{'); }
    void end_object() { close('}'); }
    void begin_array() { open('['); }
    void end_array() { close(']'); }

    /// The name of the object's next member; its value follows.
    void name(std::string_view name);
    void value(std::string_view text);
    void value(const char* text) { value(std::string_view(text)); }
    void value(bool truth) { literal(truth ? "true" : "false"); }
    void value(double number);
    template <std::integral Number>
    void value(Number number) {
        literal(std::to_string(number));
    }
    void null() { literal("null"); }

    template <class Value>
    void member(std::string_view member_name, const Value& member_value) {
        name(member_name);
        value(member_value);
    }

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

  private:
    void open(char bracket);
    void close(char bracket);
    void literal(std::string_view text);
    void separate();

    std::string text_;
    bool needs_comma_ = false;
};

}  // namespace preforkd
