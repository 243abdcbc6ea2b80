#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "shared/mapping.hpp"
#include "shared/result.hpp"
#include "shared/unique_fd.hpp"
#include "worker/services/http_range.hpp"
#include "worker/services/http_response.hpp"

struct stat;

namespace preforkd::worker::http {

/// What tells one state of one file from another. The time of its last status change is in it,
/// for nobody can set that back after having changed a file.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t modified = 0;  ///< nanoseconds since 1970
    std::int64_t changed = 0;   ///< nanoseconds since 1970

    bool operator==(const FileIdentity&) const = default;
};

[[nodiscard]] FileIdentity identity_of(const struct stat& status) noexcept;

/// A strong entity tag, with its quotes. A small file's content is known: its tag is another for
/// every other content and coding, and the same on every machine that has this file. Of a large one
/// `content` is empty, and its identity stands for it.
[[nodiscard]] std::string make_etag(const FileIdentity& identity, Coding coding,
                                    std::string_view content);

/// A regular file that has been opened.
struct OpenedFile {
    UniqueFd descriptor;
    FileIdentity identity;
};

/// One representation, ready to be sent. Its content is in memory, or `descriptor` is open and the
/// content may be mapped.
class StaticFile {
  public:
    /// Files up to this many bytes are kept in memory.
    static constexpr std::uint64_t largest_in_memory = 32 * 1024;

    /// Larger ones up to this are mapped. Copying from there costs less than sendfile(2) far
    /// beyond, but what a slow client takes late lies in the kernel twice.
    static constexpr std::uint64_t largest_mapped = 256 * 1024;

    struct Description {
        std::string_view type;
        Coding coding = Coding::identity;
        bool varies = false;
    };

    /// Reads a small file, keeps the descriptor of a large one. A Last-Modified in the future is
    /// cut to `now` (RFC 9110 §8.8.2.1). Errors: of read(2); EAGAIN the file has just been cut.
    [[nodiscard]] static Result<std::shared_ptr<const StaticFile>> make(
        OpenedFile opened, const Description& description, const ConfiguredFields& configured,
        UnixTime now);

    StaticFile(const StaticFile&) = delete;
    StaticFile& operator=(const StaticFile&) = delete;

    [[nodiscard]] const FileIdentity& identity() const noexcept { return identity_; }
    [[nodiscard]] const Representation& representation() const noexcept { return representation_; }
    [[nodiscard]] bool in_memory() const noexcept { return !descriptor_.is_open(); }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }

    /// The fields of a 200, and behind them the content if it is in memory.
    [[nodiscard]] std::string_view fields_and_content() const noexcept { return whole_; }
    [[nodiscard]] std::string_view fields() const noexcept {
        return std::string_view(whole_).substr(0, fields_size_);
    }
    /// Requires: in_memory().
    [[nodiscard]] std::string_view content() const noexcept {
        return std::string_view(whole_).substr(fields_size_);
    }
    /// For send_file() alone, or empty. Requires: !in_memory().
    [[nodiscard]] std::string_view mapped(const ByteRange& range) const noexcept {
        return std::string_view(mapping_.as<char>(), mapping_.size())
            .substr(mapping_.is_open() ? range.first : 0, range.length());
    }
    [[nodiscard]] std::string_view not_modified_fields() const noexcept { return not_modified_; }

    /// Whether the file had changed so shortly before it was read that it may have changed again
    /// since without another time stamp: those are as coarse as the kernel's tick.
    [[nodiscard]] bool may_hide_a_change() const noexcept { return may_hide_a_change_; }

    /// Bytes of memory this takes, about.
    [[nodiscard]] std::size_t footprint() const noexcept;

  private:
    StaticFile() = default;

    FileIdentity identity_;
    std::string type_;
    std::string etag_;
    Representation representation_;  // views of the two above
    std::string whole_;
    std::size_t fields_size_ = 0;
    std::string not_modified_;
    UniqueFd descriptor_;
    Mapping mapping_;
    bool may_hide_a_change_ = false;
};

}  // namespace preforkd::worker::http
