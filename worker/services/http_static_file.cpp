#include "worker/services/http_static_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

namespace preforkd::worker::http {
namespace {

constexpr std::int64_t nanoseconds = 1'000'000'000;

std::int64_t to_nanoseconds(const timespec& time) noexcept {
    return time.tv_sec * nanoseconds + time.tv_nsec;
}

UnixTime to_seconds(std::int64_t time) noexcept {
    const UnixTime truncated = time / nanoseconds;
    return truncated * nanoseconds > time ? truncated - 1 : truncated;
}

/// Spreads every bit of its argument over all of the result. Source: Steele, Lea, Flood: Fast
/// Splittable Pseudorandom Number Generators (2014), the finalizer of SplitMix64.
std::uint64_t mix(std::uint64_t value) noexcept {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

/// Reads exactly `size` bytes from the file's start.
error_code read_content(int descriptor, std::size_t size, std::string& to) {
    to.resize(size);
    for (std::size_t done = 0; done < size;) {
        const ssize_t got =
            ::pread(descriptor, to.data() + done, size - done, static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return last_error();
        if (got == 0) return {EAGAIN, boost::system::system_category()};
        done += static_cast<std::size_t>(got);
    }
    return {};
}

/// Empty when it can't be mapped, or isn't worth it.
Mapping map_content(const UniqueFd& descriptor, std::uint64_t size) noexcept {
    if (size > StaticFile::largest_mapped) return {};
    auto mapping = Mapping::read_only(descriptor);
    if (!mapping || mapping->size() < size) return {};
    return std::move(*mapping);
}

}  // namespace

FileIdentity identity_of(const struct stat& status) noexcept {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .size = static_cast<std::uint64_t>(status.st_size),
            .modified = to_nanoseconds(status.st_mtim),
            .changed = to_nanoseconds(status.st_ctim)};
}

std::string make_etag(const FileIdentity& identity, Coding coding, std::string_view content) {
    std::uint64_t tag = 0;
    const auto add = [&tag](auto part) {
        tag = mix(tag + 0x9e3779b97f4a7c15 + static_cast<std::uint64_t>(part));
    };
    add(coding);
    if (content.size() == identity.size) {
        add(std::hash<std::string_view>()(content));
    } else {
        add(identity.device);
        add(identity.inode);
        add(identity.modified);
        add(identity.changed);
    }
    return fmt::format("\"{:x}-{:016x}\"", identity.size, tag);
}

Result<std::shared_ptr<const StaticFile>> StaticFile::make(OpenedFile opened,
                                                           const Description& description,
                                                           const ConfiguredFields& configured,
                                                           UnixTime now) {
    std::shared_ptr<StaticFile> file(new StaticFile);
    file->identity_ = opened.identity;
    file->type_ = description.type;
    std::string content;
    if (opened.identity.size > largest_in_memory) {
        file->descriptor_ = std::move(opened.descriptor);
        file->mapping_ = map_content(file->descriptor_, opened.identity.size);
    } else if (const error_code error =
                   read_content(opened.descriptor.get(),
                                static_cast<std::size_t>(opened.identity.size), content)) {
        return error;
    }
    file->etag_ = make_etag(opened.identity, description.coding, content);
    file->representation_ = {.type = file->type_,
                             .etag = file->etag_,
                             .size = opened.identity.size,
                             .modified = std::min(to_seconds(opened.identity.modified), now),
                             .coding = description.coding,
                             .varies = description.varies};
    file->whole_ = whole_fields(file->representation_, configured);
    file->fields_size_ = file->whole_.size();
    file->whole_ += content;
    file->not_modified_ = http::not_modified_fields(file->representation_, configured);
    file->may_hide_a_change_ = now - to_seconds(opened.identity.changed) < 3;
    return std::shared_ptr<const StaticFile>(std::move(file));
}

std::size_t StaticFile::footprint() const noexcept {
    return sizeof *this + whole_.size() + not_modified_.size();
}

}  // namespace preforkd::worker::http
