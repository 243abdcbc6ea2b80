#include "worker/services/http_files.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <time.h>

#include <array>

#include "shared/syscalls.hpp"

namespace preforkd::worker::http {
namespace {

/// nginx's open_file_cache forgets after as long by default.
constexpr seconds longest_unused{60};

/// The key of a clean path: what a client sends that escapes nothing but percent signs, so that
/// such a request is looked up as it is.
std::string key_of(const CleanPath& clean) {
    std::string key = "/";
    for (const char byte : clean.path) {
        key += byte;
        if (byte == '%') key += "25";
    }
    if (clean.ends_with_slash && key.size() > 1) key += '/';
    return key;
}

Found found_file() {
    Found found;
    found.kind = Found::Kind::file;
    found.status = Status::ok;
    return found;
}

Found found_file(const Variants& variants) {
    Found found = found_file();
    found.variants = &variants;
    return found;
}

/// What can't be opened is missing, unless it is there and can't be read, or we can't open more.
Status status_of(const error_code& error) noexcept {
    switch (error.value()) {
        case EACCES:
        case EPERM:
            return Status::forbidden;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case EAGAIN:
            return Status::unavailable;
        case EIO:
            return Status::internal_error;
        default:
            return Status::not_found;
    }
}

Found refused(Status status) {
    Found found;
    found.status = status;
    return found;
}

Found refused(const error_code& error) {
    Found found = refused(status_of(error));
    found.error = error;
    return found;
}

/// Whether there is no such file, rather than one that can't be had.
bool is_absent(const error_code& error) noexcept {
    return error.value() == ENOENT || error.value() == ENOTDIR || error.value() == EISDIR;
}

bool is_out_of_descriptors(const Result<UniqueFd>& opened) noexcept {
    if (opened) return false;
    return opened.error().value() == EMFILE || opened.error().value() == ENFILE;
}

bool same_state(const OpenedFile& opened, const std::shared_ptr<const StaticFile>& kept) noexcept {
    if (!opened.descriptor.is_open() || !kept) return !opened.descriptor.is_open() && !kept;
    return opened.identity == kept->identity() && !kept->may_hide_a_change();
}

/// One that is older was made from another original.
UniqueFd take_unless_older(OpenedFile& sibling, const OpenedFile& original) noexcept {
    if (sibling.identity.modified < original.identity.modified) sibling.descriptor.reset();
    return std::move(sibling.descriptor);
}

}  // namespace

Moment coarse_now() noexcept {
    timespec monotonic{}, wall{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &monotonic);
    ::clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    return {TimePoint(seconds(monotonic.tv_sec) + std::chrono::nanoseconds(monotonic.tv_nsec)),
            wall.tv_sec};
}

const std::shared_ptr<const StaticFile>& Variants::choose(const RequestHead& head) const noexcept {
    if (!gzip && !brotli) return plain;
    switch (choose_coding(head, gzip != nullptr, brotli != nullptr)) {
        case Coding::gzip:
            return gzip;
        case Coding::brotli:
            return brotli;
        case Coding::identity:
            break;
    }
    return plain;
}

Files::Files(UniqueFd root, FileRules rules, const MimeTypes& types)
    : root_(std::move(root)),
      rules_(std::move(rules)),
      types_(types),
      reserve_(rules_.precompressed ? 3 : 1) {
    fill_reserve();
}

Found Files::look_up(std::string_view uri_path, const Moment& now) {
    std::array<char, path_capacity> buffer;
    const CleanPath clean = clean_path(uri_path, rules_.serve_dotfiles, buffer);
    if (clean.status != Status::ok) return refused(clean.status);
    const std::string key = key_of(clean);
    if (const Variants* const known = fresh(key, now.monotonic)) return found_file(*known);
    // A file that is cut while it is read is opened again: its writer may be done soon.
    Found found = open_and_keep(key, clean, now);
    if (found.status == Status::unavailable) found = open_and_keep(key, clean, now);
    fill_reserve();
    drop_unused(now.monotonic);
    return found;
}

Found Files::open_and_keep(const std::string& key, const CleanPath& clean, const Moment& now) {
    Opened opened;
    Found found = open_path(clean, opened);
    if (found.kind != Found::Kind::file) {
        forget(key);
        return found;
    }
    if (rules_.precompressed) open_siblings(opened);
    if (const Variants* const known = confirm(key, opened, now.monotonic))
        return found_file(*known);
    forget(key);
    Result<Variants> variants = make_variants(std::move(opened), now.wall);
    if (!variants) return refused(variants.error());
    return keep(key, std::move(*variants), now.monotonic);
}

/// What is kept under `key`, now fresh again, if it is still what was opened.
const Variants* Files::confirm(const std::string& key, const Opened& opened, TimePoint now) {
    const auto known = index_.find(key);
    if (known == index_.end()) return nullptr;
    const Entries::iterator entry = known->second;
    if (!same_state(opened.plain, entry->variants.plain) ||
        !same_state(opened.gzip, entry->variants.gzip) ||
        !same_state(opened.brotli, entry->variants.brotli))
        return nullptr;
    entry->checked = now;
    entries_.splice(entries_.begin(), entries_, entry);
    return &entry->variants;
}

Found Files::open_path(const CleanPath& clean, Opened& opened) {
    if (clean.ends_with_slash) return open_folder(clean, opened);
    opened.path = clean.path;
    Result<OpenedFile> file = open_file(opened.path);
    if (file) {
        opened.plain = std::move(*file);
        return found_file();
    }
    if (file.error().value() != EISDIR) return refused(file.error());
    Found found;
    found.kind = Found::Kind::redirect;
    found.path = clean.path;
    return found;
}

Found Files::open_folder(const CleanPath& clean, Opened& opened) {
    const std::string folder = clean.path.empty() ? "." : std::string(clean.path);
    for (const std::string& name : rules_.index) {
        opened.path = clean.path;
        if (!opened.path.empty()) opened.path += '/';
        opened.path += name;
        Result<OpenedFile> file = open_file(opened.path);
        if (!file && is_absent(file.error())) continue;
        if (!file) return refused(file.error());
        opened.plain = std::move(*file);
        return found_file();
    }
    Result<UniqueFd> descriptor = open_with_room(folder, O_RDONLY | O_DIRECTORY);
    if (!descriptor) return refused(descriptor.error());
    if (!rules_.listing) return refused(Status::not_found);
    Found found;
    found.kind = Found::Kind::listing;
    found.path = clean.path;
    found.folder = std::move(*descriptor);
    return found;
}

/// Errors: EISDIR a folder; ENXIO a FIFO, socket or device; those of openat2(2).
Result<OpenedFile> Files::open_file(const std::string& path) {
    // Opening a FIFO for reading would otherwise wait for its writer. Source: fifo(7).
    Result<UniqueFd> descriptor = open_with_room(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!descriptor) return descriptor.error();
    struct stat status {};
    if (::fstat(descriptor->get(), &status) < 0) return last_error();
    if (S_ISDIR(status.st_mode)) return error_code(EISDIR, boost::system::system_category());
    if (!S_ISREG(status.st_mode)) return error_code(ENXIO, boost::system::system_category());
    return OpenedFile{std::move(*descriptor), identity_of(status)};
}

/// Opens beneath the root; when no descriptor is left, those kept for later go first.
Result<UniqueFd> Files::open_with_room(const std::string& path, int flags) {
    Result<UniqueFd> descriptor = open_once(path, flags);
    if (is_out_of_descriptors(descriptor) && descriptors_ > 0) {
        close_descriptors();
        descriptor = open_once(path, flags);
    }
    for (UniqueFd& kept_back : reserve_) {
        if (!is_out_of_descriptors(descriptor)) break;
        kept_back.reset();
        descriptor = open_once(path, flags);
    }
    return descriptor;
}

Result<UniqueFd> Files::open_once(const std::string& path, int flags) {
    const std::uint64_t resolve = rules_.follow_symlinks ? 0 : RESOLVE_NO_SYMLINKS;
    Result<UniqueFd> descriptor = open_beneath(root_, path.c_str(), flags, resolve);
    // EAGAIN: something was renamed meanwhile, so the kernel can't be sure. Source: openat2(2).
    if (!descriptor &&
        (descriptor.error().value() == EAGAIN || descriptor.error().value() == EINTR))
        descriptor = open_beneath(root_, path.c_str(), flags, resolve);
    return descriptor;
}

void Files::fill_reserve() noexcept {
    for (UniqueFd& kept_back : reserve_) {
        if (kept_back.is_open()) continue;
        auto opened = open_beneath(root_, ".", O_PATH | O_DIRECTORY);
        if (!opened) return;
        kept_back = std::move(*opened);
    }
}

void Files::open_siblings(Opened& opened) {
    for (const auto& [suffix, sibling] :
         {std::pair{".gz", &opened.gzip}, std::pair{".br", &opened.brotli}}) {
        Result<OpenedFile> file = open_file(opened.path + suffix);
        if (!file) continue;
        *sibling = std::move(*file);
        sibling->descriptor = take_unless_older(*sibling, opened.plain);
    }
}

Result<Variants> Files::make_variants(Opened opened, UnixTime now) const {
    const bool varies = opened.gzip.descriptor.is_open() || opened.brotli.descriptor.is_open();
    const std::string_view type = types_.type_of(opened.path);
    Variants variants;
    const auto make = [&](OpenedFile& file, Coding coding,
                          std::shared_ptr<const StaticFile>& variant) -> error_code {
        if (!file.descriptor.is_open()) return {};
        auto made = StaticFile::make(std::move(file), {type, coding, varies}, rules_.fields, now);
        if (!made) return made.error();
        variant = std::move(*made);
        return {};
    };
    if (const error_code error = make(opened.plain, Coding::identity, variants.plain)) return error;
    if (const error_code error = make(opened.gzip, Coding::gzip, variants.gzip)) return error;
    if (const error_code error = make(opened.brotli, Coding::brotli, variants.brotli)) return error;
    return variants;
}

Found Files::keep(const std::string& key, Variants variants, TimePoint now) {
    entries_.push_front({key, std::move(variants), now});
    const Entries::iterator entry = entries_.begin();
    index_.emplace(entry->key, entry);
    count(entry->variants, 1);
    while (entries_.size() > 1 && (entries_.size() > most_entries || bytes_ > most_bytes ||
                                   descriptors_ > most_descriptors))
        drop(std::prev(entries_.end()));
    return found_file(entry->variants);
}

/// What nobody asks for any more could hold a deleted file's space.
void Files::drop_unused(TimePoint now) noexcept {
    while (!entries_.empty() && now - entries_.back().checked > longest_unused)
        drop(std::prev(entries_.end()));
}

void Files::forget(const std::string& key) noexcept {
    if (const auto known = index_.find(key); known != index_.end()) drop(known->second);
}

void Files::drop(Entries::iterator entry) noexcept {
    count(entry->variants, -1);
    index_.erase(entry->key);
    entries_.erase(entry);
}

void Files::count(const Variants& variants, std::ptrdiff_t sign) noexcept {
    for (const auto* file : {&variants.plain, &variants.gzip, &variants.brotli}) {
        if (!*file) continue;
        bytes_ +=
            static_cast<std::size_t>(sign * static_cast<std::ptrdiff_t>((*file)->footprint()));
        if (!(*file)->in_memory()) descriptors_ += static_cast<std::size_t>(sign);
    }
}

void Files::close_descriptors() noexcept {
    if (descriptors_ == 0) return;
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const auto next = std::next(entry);
        const auto is_open = [](const std::shared_ptr<const StaticFile>& file) {
            return file && !file->in_memory();
        };
        const Variants& variants = entry->variants;
        if (is_open(variants.plain) || is_open(variants.gzip) || is_open(variants.brotli))
            drop(entry);
        entry = next;
    }
}

}  // namespace preforkd::worker::http
