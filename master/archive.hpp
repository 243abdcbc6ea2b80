#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "master/descriptor.hpp"
#include "shared/types.hpp"

// Plain values as bytes and back. A struct takes part by naming its fields once, in a function
// beside it that both directions call:
//
//     template <class Archive>
//     void describe(Archive& archive, SlotId& slot) {
//         archive("pool", slot.pool);
//         archive("index", slot.index);
//     }
//
// Each field goes with its name, so that programs of different versions understand each other: one
// that a reader doesn't know is skipped, one that a writer didn't know stays as it is. An enum goes
// by its names, for which it has to_string() and, in the function's namespace, last_of(T).

namespace preforkd::master {

/// Bytes that are not what they should be; the text says what is wrong with which field.
class BadArchive : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

template <class T>
concept Number = std::integral<T>;
/// Pid, Generation, PoolId: one number under another name.
template <class T>
concept NamedNumber = requires(T thing) {
    { thing.value } -> std::convertible_to<std::int64_t>;
};
template <class T>
concept Duration = requires {
    typename T::period;
};

class ArchiveWriter {
  public:
    template <class T>
    void operator()(std::string_view name, T& value) {
        append_block(name);
        ArchiveWriter inner;
        inner.put(value);
        append_block(inner.bytes_);
    }

    template <class T>
    [[nodiscard]] static std::string write(T& value) {
        ArchiveWriter writer;
        writer.put(value);
        return std::move(writer.bytes_);
    }

  private:
    void append_number(std::uint64_t number, unsigned size) {
        for (unsigned i = 0; i < size; ++i)
            bytes_ += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
    }
    void append_block(std::string_view block) {
        append_number(block.size(), 4);
        bytes_ += block;
    }

    template <Number T>
    void put(T& number) {
        append_number(static_cast<std::uint64_t>(number), 8);
    }
    template <NamedNumber T>
    void put(T& number) {
        put(number.value);
    }
    template <Duration T>
    void put(T& duration) {
        std::int64_t count = duration.count();
        put(count);
    }
    void put(TimePoint& moment) {
        auto since_boot = moment.time_since_epoch();
        put(since_boot);
    }
    template <class T>
    requires std::is_enum_v<T>
    void put(T& value) { bytes_ += to_string(value); }
    void put(std::string& text) { bytes_ += text; }
    void put(Descriptor& descriptor) { put(descriptor.number); }
    template <class T>
    void put(std::optional<T>& value) {
        if (value) put(*value);
    }
    template <class T>
    void put(std::vector<T>& values) {
        for (T& value : values) append_block(write(value));
    }
    template <class T>
    requires requires(ArchiveWriter& writer, T& value) { describe(writer, value); }
    void put(T& value) { describe(*this, value); }

    std::string bytes_;
};

class ArchiveReader {
  public:
    template <class T>
    void operator()(std::string_view name, T& value) {
        for (const auto& [field, bytes] : fields_)
            if (field == name) return read(bytes, name, value);
    }

    /// Reads what write() wrote into `value`. Throws BadArchive.
    template <class T>
    static void read(std::string_view bytes, std::string_view name, T& value) {
        get(bytes, name, value);
    }

  private:
    using Fields = std::vector<std::pair<std::string_view, std::string_view>>;
    explicit ArchiveReader(Fields fields) : fields_(std::move(fields)) {}

    [[noreturn]] static void refuse(std::string_view name, std::string_view what) {
        throw BadArchive("field '" + std::string(name) + "' " + std::string(what));
    }

    static std::uint64_t take_number(std::string_view& bytes, std::string_view name,
                                     unsigned size) {
        if (bytes.size() < size) refuse(name, "is cut short");
        std::uint64_t number = 0;
        for (unsigned i = 0; i < size; ++i)
            number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
        bytes.remove_prefix(size);
        return number;
    }
    static std::string_view take_block(std::string_view& bytes, std::string_view name) {
        const std::uint64_t size = take_number(bytes, name, 4);
        if (bytes.size() < size) refuse(name, "is cut short");
        const std::string_view block = bytes.substr(0, size);
        bytes.remove_prefix(size);
        return block;
    }

    template <Number T>
    static void get(std::string_view bytes, std::string_view name, T& number) {
        const std::uint64_t got = take_number(bytes, name, 8);
        if (!bytes.empty()) refuse(name, "is too long");
        const auto wanted = static_cast<T>(got);
        // Back the way it came: what doesn't fit, or isn't 0 or 1, comes back as something else.
        if (static_cast<std::uint64_t>(wanted) != got) refuse(name, "is out of range");
        number = wanted;
    }
    template <NamedNumber T>
    static void get(std::string_view bytes, std::string_view name, T& number) {
        get(bytes, name, number.value);
    }
    template <Duration T>
    static void get(std::string_view bytes, std::string_view name, T& duration) {
        std::int64_t count = 0;
        get(bytes, name, count);
        duration = T(count);
    }
    static void get(std::string_view bytes, std::string_view name, TimePoint& moment) {
        TimePoint::duration since_boot{};
        get(bytes, name, since_boot);
        moment = TimePoint(since_boot);
    }
    template <class T>
    requires std::is_enum_v<T>
    static void get(std::string_view bytes, std::string_view name, T& value) {
        const auto last = static_cast<std::underlying_type_t<T>>(last_of(T{}));
        for (std::underlying_type_t<T> number = 0; number <= last; ++number)
            if (to_string(static_cast<T>(number)) == bytes) {
                value = static_cast<T>(number);
                return;
            }
        refuse(name, "has an unknown value");
    }
    static void get(std::string_view bytes, std::string_view, std::string& text) { text = bytes; }
    static void get(std::string_view bytes, std::string_view name, Descriptor& descriptor) {
        get(bytes, name, descriptor.number);
    }
    template <class T>
    static void get(std::string_view bytes, std::string_view name, std::optional<T>& value) {
        value.reset();
        if (!bytes.empty()) get(bytes, name, value.emplace());
    }
    template <class T>
    static void get(std::string_view bytes, std::string_view name, std::vector<T>& values) {
        values.clear();
        while (!bytes.empty()) get(take_block(bytes, name), name, values.emplace_back());
    }
    template <class T>
    requires requires(ArchiveReader& reader, T& value) { describe(reader, value); }
    static void get(std::string_view bytes, std::string_view name, T& value) {
        Fields fields;
        while (!bytes.empty()) {
            const std::string_view field = take_block(bytes, name);
            fields.emplace_back(field, take_block(bytes, field));
        }
        ArchiveReader reader(std::move(fields));
        describe(reader, value);
    }

    Fields fields_;
};

/// Every descriptor that is named in a value.
class DescriptorCollector {
  public:
    template <class T>
    void operator()(std::string_view, T& value) {
        visit(value);
    }

    template <class T>
    [[nodiscard]] static std::vector<int> collect(T& value) {
        DescriptorCollector collector;
        collector.visit(value);
        return std::move(collector.found_);
    }

  private:
    void visit(Descriptor& descriptor) {
        if (descriptor.exists()) found_.push_back(descriptor.number);
    }
    template <class T>
    void visit(std::vector<T>& values) {
        for (T& value : values) visit(value);
    }
    template <class T>
    void visit(T& value) {
        if constexpr (requires { describe(*this, value); }) describe(*this, value);
    }

    std::vector<int> found_;
};

}  // namespace preforkd::master
