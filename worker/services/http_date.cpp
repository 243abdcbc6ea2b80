#include "worker/services/http_date.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "worker/services/http_syntax.hpp"

namespace preforkd::worker::http {
namespace {

constexpr std::string_view short_days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::string_view long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};
constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

constexpr UnixTime first_of_year_0 = -62167219200;
constexpr UnixTime last_of_year_9999 = 253402300799;

void put(char*& into, std::string_view text) noexcept {
    std::memcpy(into, text.data(), text.size());
    into += text.size();
}

void put_digits(char*& into, unsigned value, int digits) noexcept {
    for (int i = digits - 1; i >= 0; --i, value /= 10)
        into[i] = static_cast<char>('0' + value % 10);
    into += digits;
}

/// Takes a text apart; once something doesn't fit, `ok` stays false.
struct Reader {
    std::string_view text;
    bool ok = true;

    void literal(std::string_view expected) noexcept {
        ok = ok && text.substr(0, expected.size()) == expected;
        if (ok) text.remove_prefix(expected.size());
    }

    /// The index of the name that comes next.
    template <std::size_t N>
    unsigned one_of(const std::string_view (&names)[N]) noexcept {
        for (unsigned i = 0; ok && i < N; ++i) {
            if (text.substr(0, names[i].size()) != names[i]) continue;
            text.remove_prefix(names[i].size());
            return i;
        }
        ok = false;
        return 0;
    }

    unsigned digits(std::size_t count) noexcept {
        ok = ok && text.size() >= count && all(digit_character, text.substr(0, count));
        if (!ok) return 0;
        unsigned value = 0;
        for (std::size_t i = 0; i < count; ++i)
            value = value * 10 + static_cast<unsigned>(text[i] - '0');
        text.remove_prefix(count);
        return value;
    }
};

struct Fields {
    unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
};

void read_time(Reader& reader, Fields& fields) noexcept {
    fields.hour = reader.digits(2);
    reader.literal(":");
    fields.minute = reader.digits(2);
    reader.literal(":");
    fields.second = reader.digits(2);
}

bool read_fixdate(Reader reader, Fields& fields) noexcept {
    reader.one_of(short_days);
    reader.literal(", ");
    fields.day = reader.digits(2);
    reader.literal(" ");
    fields.month = reader.one_of(months) + 1;
    reader.literal(" ");
    fields.year = reader.digits(4);
    reader.literal(" ");
    read_time(reader, fields);
    reader.literal(" GMT");
    return reader.ok && reader.text.empty();
}

unsigned year_of(UnixTime time) noexcept {
    const std::chrono::sys_seconds when{std::chrono::seconds(time)};
    const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(when)};
    return static_cast<unsigned>(static_cast<int>(date.year()));
}

bool read_rfc850(Reader reader, Fields& fields, UnixTime now) noexcept {
    reader.one_of(long_days);
    reader.literal(", ");
    fields.day = reader.digits(2);
    reader.literal("-");
    fields.month = reader.one_of(months) + 1;
    reader.literal("-");
    const unsigned this_year = year_of(now);
    fields.year = this_year - this_year % 100 + reader.digits(2);
    if (fields.year > this_year + 50) fields.year -= 100;
    reader.literal(" ");
    read_time(reader, fields);
    reader.literal(" GMT");
    return reader.ok && reader.text.empty();
}

bool read_asctime(Reader reader, Fields& fields) noexcept {
    reader.one_of(short_days);
    reader.literal(" ");
    fields.month = reader.one_of(months) + 1;
    reader.literal(" ");
    const bool is_padded = !reader.text.empty() && reader.text.front() == ' ';
    if (is_padded) reader.literal(" ");
    fields.day = reader.digits(is_padded ? 1 : 2);
    reader.literal(" ");
    read_time(reader, fields);
    reader.literal(" ");
    fields.year = reader.digits(4);
    return reader.ok && reader.text.empty();
}

std::optional<UnixTime> to_time(const Fields& fields) noexcept {
    namespace chrono = std::chrono;
    const chrono::year_month_day date{chrono::year(static_cast<int>(fields.year)),
                                      chrono::month(fields.month), chrono::day(fields.day)};
    // 60 is a leap second. Source: RFC 9110 §5.6.7.
    if (!date.ok() || fields.hour > 23 || fields.minute > 59 || fields.second > 60) return {};
    const UnixTime days = chrono::sys_days(date).time_since_epoch().count();
    return days * 86400 + fields.hour * 3600 + fields.minute * 60 + fields.second;
}

}  // namespace

DateText format_date(UnixTime time) noexcept {
    namespace chrono = std::chrono;
    time = std::clamp(time, first_of_year_0, last_of_year_9999);
    const chrono::sys_seconds when{chrono::seconds(time)};
    const auto midnight = chrono::floor<chrono::days>(when);
    const chrono::year_month_day date{midnight};
    const auto second = static_cast<unsigned>((when - midnight).count());
    DateText text;
    char* into = text.data();
    put(into, short_days[chrono::weekday(midnight).c_encoding()]);
    put(into, ", ");
    put_digits(into, static_cast<unsigned>(date.day()), 2);
    put(into, " ");
    put(into, months[static_cast<unsigned>(date.month()) - 1]);
    put(into, " ");
    put_digits(into, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put(into, " ");
    put_digits(into, second / 3600, 2);
    put(into, ":");
    put_digits(into, second / 60 % 60, 2);
    put(into, ":");
    put_digits(into, second % 60, 2);
    put(into, " GMT");
    return text;
}

std::optional<UnixTime> parse_date(std::string_view text, UnixTime now) noexcept {
    Fields fields;
    if (read_fixdate({text}, fields) || read_rfc850({text}, fields, now) ||
        read_asctime({text}, fields))
        return to_time(fields);
    return {};
}

}  // namespace preforkd::worker::http
