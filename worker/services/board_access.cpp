#include <lmdb.h>

#include <cassert>

#include "worker/services/board_protocol.hpp"
#include "worker/services/board_record.hpp"
#include "worker/services/board_store.hpp"

// Reading and writing an open board: Snapshot, Reader and Transaction of board_store.hpp.

namespace preforkd::worker::board {
namespace {

constexpr MDB_dbi messages_tree = 1;  // LMDB's main one; 0 is its list of free pages

}  // namespace

Snapshot::~Snapshot() {
    if (reader_ != nullptr) reader_->end();
}

Result<std::string_view> Snapshot::read(std::uint64_t number) const noexcept {
    if (number < first_number || number >= end()) return StoreError::unknown_number;
    const auto record = pages_.find(pages_.meta().messages, number);
    if (!record) return record.error();
    const auto text = decode_record(number, *record);
    if (!text) return StoreError::damaged;
    return *text;
}

std::uint64_t Snapshot::end() const noexcept {
    return first_number + pages_.meta().messages.entries;
}

Reader::~Reader() {
    if (transaction_ != nullptr) ::mdb_txn_abort(transaction_);
}

Result<Snapshot> Reader::snapshot() noexcept {
    constexpr int enough = 1000;
    for (int attempt = 1;; ++attempt) {
        if (const auto error = begin()) return error;
        // A writer that died between the meta and LMDB's note of it stays ahead of the note.
        const auto pages = store_.pages_of(::mdb_txn_id(transaction_), attempt == enough);
        if (pages) return Snapshot(*this, *pages);
        end();
        if (attempt == enough) return StoreError::damaged;
    }
}

error_code Reader::begin() noexcept {
    if (transaction_ != nullptr) return lmdb_error(::mdb_txn_renew(transaction_));
    const auto environment = store_.environment_.get();
    int code = ::mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction_);
    if (code == MDB_READERS_FULL && store_.clear_dead_readers() > 0)
        code = ::mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction_);
    return lmdb_error(code);
}

void Reader::end() noexcept {
    ::mdb_txn_reset(transaction_);
}

Result<Transaction> Transaction::begin(Store& store) noexcept {
    if (store.failure_) return StoreError::sync_failed;
    if (!store.read_only_reason_.empty()) return StoreError::read_only;
    MDB_txn* transaction = nullptr;
    if (const int code = ::mdb_txn_begin(store.environment_.get(), nullptr, 0, &transaction))
        return lmdb_error(code);
    const auto before = store.pages_of(::mdb_txn_id(transaction) - 1, true);
    if (!before) {
        ::mdb_txn_abort(transaction);
        return StoreError::damaged;
    }
    Transaction begun(store, transaction, *before);
    if (begun.next_ != first_number && !begun.may_change(begun.next_ - 1))
        return StoreError::damaged;
    store.make_room(before->meta().last_page);
    return begun;
}

Transaction::Transaction(Store& store, MDB_txn* transaction, const Pages& before) noexcept
    : store_(&store),
      transaction_(transaction),
      before_(before),
      first_new_(first_number + before.meta().messages.entries),
      next_(first_new_) {}

Transaction::Transaction(Transaction&& other) noexcept
    : store_(other.store_),
      transaction_(std::exchange(other.transaction_, nullptr)),
      before_(other.before_),
      first_new_(other.first_new_),
      next_(other.next_),
      replaceable_(other.replaceable_) {}

Transaction::~Transaction() {
    if (transaction_ != nullptr) ::mdb_txn_abort(transaction_);
}

Result<std::uint64_t> Transaction::append(std::string_view text) noexcept {
    if (const auto error = put(next_, text, MDB_APPEND)) return error;
    return next_++;
}

Result<std::uint64_t> Transaction::replace(std::uint64_t number, std::string_view text) noexcept {
    assert(number >= replaceable_);
    if (const auto error = judge_replacement(number)) return error;
    replaceable_ = number + 1;
    if (const auto error = put(number, text, 0)) return error;
    return number;
}

error_code Transaction::judge_replacement(std::uint64_t number) const noexcept {
    if (number < first_number || number >= first_new_) return StoreError::unknown_number;
    if (!may_change(number)) return StoreError::damaged;
    return {};
}

// LMDB trusts what it finds on the way to a message, so look first.
bool Transaction::may_change(std::uint64_t number) const noexcept {
    return before_.is_way_sound(before_.meta().messages, number) &&
           before_.find(before_.meta().messages, number);
}

error_code Transaction::put(std::uint64_t number, std::string_view text, unsigned flags) noexcept {
    MDB_val key{.mv_size = sizeof number, .mv_data = &number};
    MDB_val record{.mv_size = record_overhead + text.size(), .mv_data = nullptr};
    const int code = ::mdb_put(transaction_, messages_tree, &key, &record, flags | MDB_RESERVE);
    if (code == 0) encode_record(number, text, static_cast<char*>(record.mv_data));
    return lmdb_error(code);
}

error_code Transaction::commit() noexcept {
    const std::uint64_t number = ::mdb_txn_id(transaction_);
    const int code = ::mdb_txn_commit(std::exchange(transaction_, nullptr));
    if (code == 0) {
        if (!store_->durable_) return {};
        // None when others have committed meanwhile: their marks will do.
        const auto committed = store_->pages_of(number, false);
        if (store_->sync()) return StoreError::sync_failed;
        if (committed) store_->mark(committed->meta());
        return {};
    }
    // LMDB reports a short write and a failed sync alike. Our own descriptor knows: it was told of
    // no earlier failure. Source: fsync(2), NOTES; errseq in the kernel.
    if (store_->sync()) return StoreError::sync_failed;
    return lmdb_error(code);
}

}  // namespace preforkd::worker::board
