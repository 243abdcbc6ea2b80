#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/types.hpp"
#include "worker/services/http_mime.hpp"
#include "worker/services/http_path.hpp"
#include "worker/services/http_static_file.hpp"

namespace preforkd::worker::http {

/// How files below a root are served.
struct FileRules {
    std::vector<std::string> index = {"index.html"};  ///< the first that exists is served
    bool follow_symlinks = true;  ///< those that stay below the root; never others
    bool serve_dotfiles = false;
    bool precompressed = true;  ///< look for NAME.br and NAME.gz
    bool listing = false;
    ConfiguredFields fields;
};

/// The moment of a request.
struct Moment {
    TimePoint monotonic;
    UnixTime wall = 0;
};

/// The present, as exact as the kernel's tick, without a system call. Source: clock_gettime(2),
/// CLOCK_MONOTONIC_COARSE and CLOCK_REALTIME_COARSE.
[[nodiscard]] Moment coarse_now() noexcept;

/// The representations of one path.
struct Variants {
    std::shared_ptr<const StaticFile> plain;
    std::shared_ptr<const StaticFile> gzip;    ///< may be null
    std::shared_ptr<const StaticFile> brotli;  ///< may be null

    /// The one for this request, by its Accept-Encoding.
    [[nodiscard]] const std::shared_ptr<const StaticFile>& choose(
        const RequestHead& head) const noexcept;
};

/// What is at a path.
struct Found {
    enum class Kind : std::uint8_t {
        file,      ///< `variants`, valid until the next call
        redirect,  ///< a folder asked for without its slash; `path`
        listing,   ///< a folder without index, and listings are on; `path`, `folder`
        refused,   ///< `status`, and `error` if a system call is why
    };
    Kind kind = Kind::refused;
    Status status = Status::not_found;
    error_code error{};
    const Variants* variants = nullptr;
    std::string path;  ///< clean, relative to the root
    UniqueFd folder;
};

/// The files below one root, with those in use kept ready. What was looked up less than a second
/// ago is answered without a system call; then the path is opened anew and compared, so that
/// nothing changed, replaced or deleted is served for longer. Bounded in entries, bytes and
/// descriptors; the least recently used go first, and what nobody asks for goes within minutes. A
/// few descriptors are kept back, so that files are found when connections have all others.
class Files {
  public:
    static constexpr std::size_t most_entries = 8192;
    static constexpr std::size_t most_bytes = 32U << 20;
    static constexpr std::size_t most_descriptors = 256;
    static constexpr milliseconds freshness{900};  // and the tick of the coarse clock

    /// `types` outlives this.
    Files(UniqueFd root, FileRules rules, const MimeTypes& types);

    /// The file at `uri_path` (a URI's path, from its slash and without query, as received), if it
    /// was looked up shortly before, and so without a system call; else null. Valid until the next
    /// call.
    [[nodiscard]] const Variants* fresh(std::string_view uri_path, TimePoint now) const noexcept {
        const auto known = index_.find(uri_path);
        if (known == index_.end() || now - known->second->checked >= freshness) return nullptr;
        return &known->second->variants;
    }

    /// The same in any case, looked for if need be.
    [[nodiscard]] Found look_up(std::string_view uri_path, const Moment& now);

    /// Closes the large files that are kept open, so that a deleted one's space is freed. For when
    /// nobody is connected.
    void close_descriptors() noexcept;

    [[nodiscard]] const UniqueFd& root() const noexcept { return root_; }
    [[nodiscard]] const FileRules& rules() const noexcept { return rules_; }
    [[nodiscard]] std::size_t entry_count() const noexcept { return entries_.size(); }
    [[nodiscard]] std::size_t byte_count() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t descriptor_count() const noexcept { return descriptors_; }

  private:
    struct Entry {
        std::string key;
        Variants variants;
        TimePoint checked;
    };
    using Entries = std::list<Entry>;

    /// The regular files behind a path, opened.
    struct Opened {
        std::string path;
        OpenedFile plain, gzip, brotli;
    };

    [[nodiscard]] Found open_and_keep(const std::string& key, const CleanPath& clean,
                                      const Moment& now);
    [[nodiscard]] const Variants* confirm(const std::string& key, const Opened& opened,
                                          TimePoint now);
    [[nodiscard]] Found open_path(const CleanPath& clean, Opened& opened);
    [[nodiscard]] Found open_folder(const CleanPath& clean, Opened& opened);
    [[nodiscard]] Result<OpenedFile> open_file(const std::string& path);
    [[nodiscard]] Result<UniqueFd> open_with_room(const std::string& path, int flags);
    [[nodiscard]] Result<UniqueFd> open_once(const std::string& path, int flags);
    void fill_reserve() noexcept;
    void open_siblings(Opened& opened);
    [[nodiscard]] Result<Variants> make_variants(Opened opened, UnixTime now) const;
    [[nodiscard]] Found keep(const std::string& key, Variants variants, TimePoint now);
    void drop_unused(TimePoint now) noexcept;
    void forget(const std::string& key) noexcept;
    void drop(Entries::iterator entry) noexcept;
    void count(const Variants& variants, std::ptrdiff_t sign) noexcept;

    UniqueFd root_;
    FileRules rules_;
    const MimeTypes& types_;
    Entries entries_;  // the most recently checked first
    std::unordered_map<std::string_view, Entries::iterator> index_;
    std::size_t bytes_ = 0;
    std::size_t descriptors_ = 0;
    std::vector<UniqueFd> reserve_;  // a file and its siblings
};

}  // namespace preforkd::worker::http
