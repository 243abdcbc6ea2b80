#include "worker/services/board_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>

#include "shared/exit_code.hpp"
#include "worker/services/board_protocol.hpp"

namespace preforkd::worker::board {
namespace {

constexpr mode_t file_mode = 0640;
constexpr unsigned max_readers = 1022;  // with the table's head, 64 KiB of lock file
constexpr std::uint64_t smallest_map = std::uint64_t{1} << 24;

// Room behind the last page: what is left of it when it is made anew, and how much is made.
constexpr std::uint64_t least_room = 64u << 10;
constexpr std::uint64_t room_step = 1u << 20;

constexpr const char* rescue =
    "restore it from a backup, or 'preforkctl board export' what is left of it, and import that "
    "into a new file";

// "Opening a database can fail if another process is opening or closing it at exactly the same
// time." Source: lmdb.h, Caveats. So only one does at a time. flock(2), for LMDB's own locks on
// the other file are of fcntl(2) and stay untouched.
class Turn {
  public:
    explicit Turn(int fd) noexcept : fd_(fd) {
        while (::flock(fd_, LOCK_EX) < 0 && errno == EINTR) {
        }
    }
    ~Turn() { ::flock(fd_, LOCK_UN); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    int fd_;
};

bool is_denied(int error) noexcept {
    return error == EACCES || error == EPERM || error == EROFS;
}

// Every free list must be as LMDB writes it, for LMDB copies it unseen.
class FreeListCheck final : public TreeVisitor {
  public:
    explicit FreeListCheck(const Meta& meta) noexcept : meta_(meta) {}
    [[nodiscard]] bool is_sound() const noexcept { return is_sound_; }

    bool on_entry(const Entry& entry) override {
        return is_sound_ = free_pages(entry, meta_).has_value();
    }
    bool on_damage(std::uint64_t) override { return is_sound_ = false; }

  private:
    const Meta& meta_;
    bool is_sound_ = true;
};

}  // namespace

void Store::EnvironmentCloser::operator()(MDB_env* environment) const noexcept {
    ::mdb_env_close(environment);
}

void Store::Unmap::operator()(const char* map) const noexcept {
    ::munmap(const_cast<char*>(map), size);
}

Store::Store(std::string path, const StoreOptions& options)
    : path_(std::move(path)),
      name_(options.shown_as.empty() ? path_ : options.shown_as),
      durable_(options.durable) {
    open_file(options);
    const Turn turn(file_.get());
    try {
        open(options);
    } catch (...) {
        remove_made();
        throw;
    }
}

void Store::open(const StoreOptions& options) {
    require_header();
    if (!options.lockless) make_lock_file();
    if (options.lockless && read_only_reason_.empty())
        refuse("it can be written meanwhile, but has no lock file; try again", exit_failure);
    is_lockless_ = options.lockless;
    open_environment(options.map_size);
    prepare_tree();
    if (!options.salvage) require_sound_messages();
    if (read_only_reason_.empty()) distrust_free_list();
    clear_dead_readers();
}

Store::~Store() {
    if (has_unsynced_mark_ && !failure_) ::fdatasync(file_.get());
}

void Store::open_file(const StoreOptions& options) {
    is_only_to_read_ = options.read_only;
    if (options.read_only) read_only_reason_ = "it was opened for reading only";
    if (options.create) make_file();
    if (!file_.is_open() && !options.read_only)
        file_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    if (!file_.is_open() && !options.read_only && is_denied(errno))
        read_only_reason_ = with_advice(last_error(), Doing::opening);
    if (!read_only_reason_.empty()) file_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_.is_open())
        refuse(last_error().message(), is_denied(errno) ? exit_no_privilege : exit_failure);
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0)
        refuse(with_advice(last_error(), Doing::opening), exit_failure);
    if (!S_ISREG(status.st_mode)) refuse("it is not a file", exit_configuration);
}

// Unless there is one.
void Store::make_file() {
    file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, file_mode));
    has_made_file_ = file_.is_open();
    if (!has_made_file_ || ::geteuid() != 0) return;
    const auto folder = std::filesystem::absolute(path_).parent_path();
    struct stat status {};
    if (::stat(folder.c_str(), &status) == 0 &&
        ::fchown(file_.get(), status.st_uid, status.st_gid) == 0)
        return;
    const auto error = last_error();
    remove_made();
    refuse(with_advice(error, Doing::opening), exit_failure);
}

// LMDB would make it for whoever we are, and then the server's workers couldn't open it.
void Store::make_lock_file() {
    struct stat data {};
    if (::fstat(file_.get(), &data) < 0) refuse(last_error().message(), exit_failure);
    const auto path = path_ + "-lock";
    const UniqueFd lock(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock.is_open()) return;  // it is there, or LMDB will say why it can't be made
    has_made_lock_ = true;
    if ((::geteuid() == 0 && ::fchown(lock.get(), data.st_uid, data.st_gid) < 0) ||
        ::fchmod(lock.get(), data.st_mode & 0666) < 0)
        refuse(fmt::format("its lock file {}-lock: {}", name_, last_error().message()),
               exit_failure);
}

void Store::remove_made() const noexcept {
    if (has_made_file_) ::unlink(path_.c_str());
    if (has_made_lock_) ::unlink((path_ + "-lock").c_str());
}

void Store::require_header() {
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0)
        refuse(with_advice(last_error(), Doing::opening), exit_failure);
    if (is_unborn(static_cast<std::uint64_t>(status.st_size))) create_environment();
    const auto header = read_header(file_.get());
    if (!header) refuse(with_advice(header.error(), Doing::opening), exit_failure);
    if (!header->fault.empty())
        refuse(fmt::format("it {}; {}", header->fault,
                           header->are_sound[0] || header->are_sound[1]
                               ? rescue
                               : "restore it from a backup, or name another file"),
               exit_failure);
    page_size_ = header->newest().free.page_size;
}

// Is this a file that nobody has ever opened as a board? Its beginning comes before its lock file,
// so an empty board beside a lock file that is none was cut.
bool Store::is_unborn(std::uint64_t size) const {
    struct stat status {};
    const bool has_lock = ::stat((path_ + "-lock").c_str(), &status) == 0 && status.st_size > 0;
    if (size == 0 && has_lock)
        refuse(fmt::format("it is empty, but was a bulletin board; restore it from a backup, or "
                           "remove {}-lock to begin a new one",
                           name_),
               exit_failure);
    if (size == 0 || has_lock) return size == 0;
    // Whoever was creating it may have died after the first of its two pages. With any message
    // there would have been transactions.
    const auto header = read_header(file_.get());
    return header && header->fault == "was cut" && header->metas[0].transaction == 0 &&
           size < 2 * header->metas[0].free.page_size;
}

void Store::create_environment() {
    if (is_only_to_read_) refuse("it is empty, no bulletin board yet", exit_failure);
    if (!read_only_reason_.empty())
        refuse(fmt::format("it is empty and can't be written: {}", read_only_reason_),
               exit_no_privilege);
    if (::ftruncate(file_.get(), 0) < 0)
        refuse(with_advice(last_error(), Doing::opening), exit_failure);
    MDB_env* environment = nullptr;
    int code = ::mdb_env_create(&environment);
    if (code == 0)
        code = ::mdb_env_open(environment, path_.c_str(), MDB_NOSUBDIR | MDB_NOLOCK, file_mode);
    ::mdb_env_close(environment);
    if (code != 0) refuse(with_advice(lmdb_error(code), Doing::opening), exit_failure);
    // The file, and its name in the folder, must be there after a loss of power.
    const auto folder = std::filesystem::path(path_).parent_path();
    const UniqueFd folder_fd(
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (::fsync(file_.get()) < 0 || (folder_fd.is_open() && ::fsync(folder_fd.get()) < 0))
        refuse(with_advice(last_error(), Doing::opening), exit_failure);
}

void Store::open_environment(std::uint64_t map_size) {
    int code = try_environment(map_size);
    while (code == ENOMEM && map_size > smallest_map) {
        map_size /= 2;
        code = try_environment(map_size);
    }
    if (is_denied(code) && read_only_reason_.empty()) {
        read_only_reason_ = lmdb_error(code).message();
        code = try_environment(map_size);
    }
    if (is_denied(code))
        refuse(fmt::format("its lock file {}-lock: {}; do this as its owner", name_,
                           lmdb_error(code).message()),
               exit_no_privilege);
    if (code != 0) refuse(with_advice(lmdb_error(code), Doing::opening), exit_failure);
}

// MDB_NOMETASYNC: commit() syncs after LMDB has, outside of LMDB's lock, so that the next writer
// goes on meanwhile; and a disk that fails then doesn't cost the environment its readers.
int Store::try_environment(std::uint64_t map_size) {
    MDB_env* environment = nullptr;
    if (const int code = ::mdb_env_create(&environment); code != 0) return code;
    environment_.reset(environment);
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOMETASYNC;
    if (!durable_) flags |= MDB_NOSYNC;
    if (!read_only_reason_.empty()) flags |= MDB_RDONLY;
    if (is_lockless_) flags |= MDB_NOLOCK;
    int code = ::mdb_env_set_maxreaders(environment, max_readers);
    if (code == 0) code = ::mdb_env_set_mapsize(environment, map_size);
    if (code == 0) code = ::mdb_env_open(environment, path_.c_str(), flags, file_mode);
    if (code == 0) {
        void* const map = ::mmap(nullptr, map_size, PROT_READ, MAP_SHARED, file_.get(), 0);
        if (map == MAP_FAILED)
            code = errno;
        else
            map_ = {static_cast<const char*>(map), Unmap{map_size}};
    }
    if (code != 0) environment_.reset();
    return code;
}

// LMDB forgets how the main tree's keys compare unless it is opened, and a new one has to be told.
void Store::prepare_tree() {
    const auto header = read_header(file_.get());
    if (!header) refuse(with_advice(header.error(), Doing::opening), exit_failure);
    const bool is_new = header->newest().messages.flags == 0;
    const bool can_write = read_only_reason_.empty();
    MDB_txn* transaction = nullptr;
    MDB_dbi tree = 0;
    int code = ::mdb_txn_begin(environment_.get(), nullptr, is_new && can_write ? 0 : MDB_RDONLY,
                               &transaction);
    if (code != 0) refuse(with_advice(lmdb_error(code), Doing::opening), exit_failure);
    code = ::mdb_dbi_open(transaction, nullptr, is_new && can_write ? MDB_INTEGERKEY : 0, &tree);
    if (code == 0)
        code = ::mdb_txn_commit(transaction);
    else
        ::mdb_txn_abort(transaction);
    if (code != 0) refuse(with_advice(lmdb_error(code), Doing::opening), exit_failure);
}

void Store::require_sound_messages() {
    Reader reader(*this);
    const auto snapshot = reader.snapshot();
    if (!snapshot) refuse(with_advice(snapshot.error(), Doing::opening), exit_failure);
    const auto& messages = snapshot->pages().meta().messages;
    if (const auto fault = snapshot->pages().fault_of_age(); !fault.empty())
        refuse(fmt::format("it is damaged: it {}; {}", fault, rescue), exit_failure);
    const auto last = snapshot->pages().last(messages);
    if (last && last->key != snapshot->end() - 1)
        refuse(
            fmt::format("it is damaged: it counts {} messages, but the last one is number {}; {}",
                        messages.entries, last->key, rescue),
            exit_failure);
}

void Store::distrust_free_list() {
    Reader reader(*this);
    const auto snapshot = reader.snapshot();
    if (!snapshot) refuse(with_advice(snapshot.error(), Doing::opening), exit_failure);
    FreeListCheck check(snapshot->pages().meta());
    snapshot->pages().walk(snapshot->pages().meta().free, check);
    if (!check.is_sound())
        read_only_reason_ = "its list of free pages is damaged; export it, import it elsewhere";
}

void Store::refuse(std::string_view reason, int exit_code) const {
    throw StartupError(exit_code, fmt::format("{}: {}", name_, reason));
}

error_code Store::sync() noexcept {
    if (failure_) return failure_;
    int result = 0;
    do result = ::fdatasync(file_.get());
    while (result < 0 && errno == EINTR);
    if (result < 0) failure_ = last_error();
    return failure_;
}

// A sync of a file that has grown waits for the file system's journal too, which takes as long
// again. So the file grows seldom and by much; with zeros that were written, for the journal hears
// of the first write to what fallocate(2) gives. Without room LMDB makes the file grow itself.
// The free pages that a killed reader holds back are better than new ones, so it is before each
// growth that such readers are looked for. Requires: the writer's turn.
void Store::make_room(std::uint64_t last_page) noexcept {
    static constexpr std::array<char, 64u << 10> zeros{};
    if (last_page < awaited_page_) return;
    if (!durable_) {
        clear_dead_readers();
        awaited_page_ = last_page + room_step / page_size_;
        return;
    }
    const std::uint64_t used = (last_page + 1) * page_size_;
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0) return;
    auto size = static_cast<std::uint64_t>(status.st_size);
    if (size >= used + least_room) return;
    if (clear_dead_readers() > 0) {
        awaited_page_ = last_page + 1;
        return;
    }
    while (size < used + room_step) {
        const ssize_t written =
            ::pwrite(file_.get(), zeros.data(), zeros.size(), static_cast<off_t>(size));
        if (written <= 0) return;
        size += static_cast<std::uint64_t>(written);
    }
}

// Only what is on the disk is marked, so a mark that is newer than its meta is no false alarm,
// whatever the power loses. Nothing waits for the mark: the next commit's sync takes it along. Two
// workers may write theirs in the wrong order, or one die before it has, and then less is noticed.
void Store::mark(const Meta& durable) noexcept {
    if (meta_in_map(meta_of(durable.transaction + 1)).transaction > durable.transaction) return;
    const Mark mark = Mark::of(durable);
    const auto place = place_of_mark(durable.transaction, page_size_);
    const ssize_t written = ::pwrite(file_.get(), &mark, sizeof mark, static_cast<off_t>(place));
    has_unsynced_mark_ = written == sizeof mark;
}

int Store::clear_dead_readers() noexcept {
    int dead = 0;
    static_cast<void>(::mdb_reader_check(environment_.get(), &dead));
    return dead;
}

void Store::announce() noexcept {
    static_cast<void>(::futimens(file_.get(), nullptr));
}

Meta Store::meta_in_map(unsigned index) const noexcept {
    Meta meta;
    std::memcpy(&meta, map_.get() + index * page_size_ + 16, sizeof meta);
    return meta;
}

// None: the meta is, or may be, on its way to being the one of two transactions later. It can't be
// before the one in between stands in the other meta.
std::optional<Pages> Store::pages_of(std::uint64_t transaction, bool is_newest) const noexcept {
    const Meta meta = meta_in_map(meta_of(transaction));
    std::atomic_thread_fence(std::memory_order_acquire);
    if (!is_newest && meta_in_map(meta_of(transaction + 1)).transaction > transaction)
        return std::nullopt;
    if (meta.transaction != transaction || meta.free.page_size != page_size_ ||
        meta.last_page >= map_.get_deleter().size / page_size_)
        return std::nullopt;
    return Pages(map_.get(), meta);
}

}  // namespace preforkd::worker::board
