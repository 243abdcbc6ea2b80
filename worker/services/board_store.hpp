#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shared/result.hpp"
#include "shared/unique_fd.hpp"
#include "worker/services/board_error.hpp"
#include "worker/services/board_pages.hpp"

struct MDB_env;
struct MDB_txn;

// The board's messages in one LMDB file, shared by every worker, by preforkctl, and by nobody else.
// Numbers are dense: a board of n messages has first_number up to first_number + n - 1. Reading
// takes no lock; writers, of whatever process, take turns.
//
// LMDB locks by fcntl(2), which a process loses when it closes any descriptor of the lock file, so
// who hands the lock file to this process as a descriptor must leave it open. An environment must
// not be used across fork(2).

namespace preforkd::worker::board {

struct StoreOptions {
    std::string shown_as;    ///< the file's name in messages; empty: its path
    bool create = false;     ///< make a new board if there is no file
    bool read_only = false;  ///< never write, though it could
    bool lockless = false;   ///< there is no lock file, and nobody can write. Requires: read_only
    bool salvage = false;    ///< open it although its messages are damaged, to rescue what is left
    bool durable = true;     ///< each commit waits for the disk. Without, sync() does, and power
                             ///< lost between the two may damage the file, not only shorten it
    std::uint64_t map_size = std::uint64_t{1} << 40;  ///< upper bound of the file; costs nothing
};

class Reader;

/// The opened file. One per process and file; outlives its readers and transactions.
class Store {
  public:
    /// Opens `path` and its lock file, `path`-lock, both of which may be links, such as
    /// /proc/self/fd/N. Falls back to reading when the file can't be written. What root makes
    /// belongs to the data file's owner, a new data file to its folder's. What was made is removed
    /// if the board can't be opened.
    /// Throws StartupError with the whole message: no such file, not a board, cut, damaged, no
    /// permission.
    Store(std::string path, const StoreOptions& options);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// Why nothing can be written; empty when it can.
    [[nodiscard]] const std::string& read_only_reason() const noexcept { return read_only_reason_; }

    /// The file, as messages call it.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// The data file, for inotify(7) and fstat(2); belongs to the store.
    [[nodiscard]] int descriptor() const noexcept { return file_.get(); }

    /// Waits until all that was committed is on the disk. After a failure the store writes no
    /// more: what the kernel says it has written since is not to be trusted. Source: fsync(2),
    /// ERRORS EIO.
    [[nodiscard]] error_code sync() noexcept;

    /// Why the store writes no more; no error while it does.
    [[nodiscard]] error_code failure() const noexcept { return failure_; }

    /// Gives back the slots of readers that died; without it, what they were reading could never
    /// be reused and the file would grow. A few system calls. Returns how many there were.
    int clear_dead_readers() noexcept;

    /// Wakes every process that watches the file for messages: they see IN_ATTRIB. Writing itself
    /// can't be that sign, for it is seen before what was written can be read. Source: inotify(7).
    void announce() noexcept;

  private:
    friend class Reader;
    friend class Transaction;
    struct EnvironmentCloser {
        void operator()(MDB_env* environment) const noexcept;
    };

    struct Unmap {
        std::size_t size;
        void operator()(const char* map) const noexcept;
    };

    void open(const StoreOptions& options);
    void open_file(const StoreOptions& options);
    void make_file();
    void make_lock_file();
    void remove_made() const noexcept;
    void require_header();
    [[nodiscard]] bool is_unborn(std::uint64_t size) const;
    void create_environment();
    void open_environment(std::uint64_t map_size);
    [[nodiscard]] int try_environment(std::uint64_t map_size);
    void prepare_tree();
    void require_sound_messages();
    void distrust_free_list();
    void make_room(std::uint64_t last_page) noexcept;
    void mark(const Meta& durable) noexcept;
    [[nodiscard]] Meta meta_in_map(unsigned index) const noexcept;
    [[noreturn]] void refuse(std::string_view reason, int exit_code) const;
    [[nodiscard]] std::optional<Pages> pages_of(std::uint64_t transaction,
                                                bool is_newest) const noexcept;

    std::string path_;
    std::string name_;
    std::string read_only_reason_;
    bool durable_;
    UniqueFd file_;
    std::unique_ptr<MDB_env, EnvironmentCloser> environment_;
    std::unique_ptr<const char, Unmap> map_;
    std::uint32_t page_size_ = 0;
    error_code failure_;
    std::uint64_t awaited_page_ = 0;  // while the last one is before it, the file has room
    bool has_unsynced_mark_ = false;
    bool is_only_to_read_ = false;
    bool is_lockless_ = false;
    bool has_made_file_ = false;
    bool has_made_lock_ = false;
};

/// One moment's messages, for as long as the object lives.
class Snapshot {
  public:
    Snapshot(Snapshot&& other) noexcept
        : reader_(std::exchange(other.reader_, nullptr)), pages_(other.pages_) {}
    Snapshot& operator=(Snapshot&&) = delete;
    ~Snapshot();

    /// `poster/message`, where it lies in the file: valid as long as the snapshot.
    /// Errors: unknown_number; damaged.
    [[nodiscard]] Result<std::string_view> read(std::uint64_t number) const noexcept;

    /// One more than the last message's number.
    [[nodiscard]] std::uint64_t end() const noexcept;

    [[nodiscard]] const Pages& pages() const noexcept { return pages_; }

  private:
    friend class Reader;
    Snapshot(Reader& reader, const Pages& pages) noexcept : reader_(&reader), pages_(pages) {}

    Reader* reader_;
    Pages pages_;
};

/// A reading thread's own place in the file's table of readers. One snapshot at a time.
class Reader {
  public:
    explicit Reader(Store& store) noexcept : store_(store) {}
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// Takes a snapshot of the newest committed state, without a lock or a system call (but for the
    /// first). Keep it short: meanwhile no page that it sees is used anew.
    [[nodiscard]] Result<Snapshot> snapshot() noexcept;

  private:
    friend class Snapshot;
    [[nodiscard]] error_code begin() noexcept;
    void end() noexcept;

    Store& store_;
    MDB_txn* transaction_ = nullptr;
};

/// A writer's turn: all of it becomes permanent, or nothing. Ends with the object; not for another
/// thread than the one that began it.
class Transaction {
  public:
    /// Waits for other writers. Errors: read_only; sync_failed or what else ended the store.
    [[nodiscard]] static Result<Transaction> begin(Store& store) noexcept;

    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    /// Stores `text`, `poster/message`, under the next number and returns that.
    /// Errors: MDB_MAP_FULL and others of LMDB; then nothing of the transaction can be kept.
    [[nodiscard]] Result<std::uint64_t> append(std::string_view text) noexcept;

    /// Stores `text` in the place of message `number`, which it returns. Each at most once, in
    /// ascending order, and none of this transaction's own (Batch sees to it): of a second time
    /// LMDB would leave out the pages of the first, and could leave the file shorter than it says.
    /// Errors: unknown_number, damaged, and the transaction goes on; else as append().
    [[nodiscard]] Result<std::uint64_t> replace(std::uint64_t number,
                                                std::string_view text) noexcept;

    /// What replace() would say of this number, and no error if it may be stored.
    [[nodiscard]] error_code judge_replacement(std::uint64_t number) const noexcept;

    /// The number that append() gives next.
    [[nodiscard]] std::uint64_t end() const noexcept { return next_; }

    /// Durable when it returns no error, if the store is. Errors: ENOSPC, EDQUOT, MDB_MAP_FULL:
    /// nothing was changed, and the next transaction may succeed; sync_failed: the disk failed.
    [[nodiscard]] error_code commit() noexcept;

  private:
    Transaction(Store& store, MDB_txn* transaction, const Pages& before) noexcept;
    [[nodiscard]] bool may_change(std::uint64_t number) const noexcept;
    [[nodiscard]] error_code put(std::uint64_t number, std::string_view text,
                                 unsigned flags) noexcept;

    Store* store_;
    MDB_txn* transaction_;
    Pages before_;  // what lay there when the turn began
    std::uint64_t first_new_;
    std::uint64_t next_;
    std::uint64_t replaceable_ = 0;  // from here on, in this transaction
};

}  // namespace preforkd::worker::board
