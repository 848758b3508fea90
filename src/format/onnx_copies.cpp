#include "format/onnx_copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <mutex>
#include <utility>

#include "base/file_stamp.h"
#include "base/spool_file.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Where each copy lies among all of them.
struct CopyPlan {
  struct Copy {
    const OnnxConstant* constant;
    uint64_t begin, bytes;
  };
  std::vector<Copy> copies;
  std::map<std::string, size_t> by_name;  // index in `copies`; a weight that has several names is copied once
};

CopyPlan plan_copies(const OnnxGraph& graph, std::span<const OnnxWeight> weights, uint64_t file_bytes,
                     const std::string& where) {
  constexpr uint64_t kGrowth = 16;     // codes of 2 bits to floats
  constexpr uint64_t kAlignment = 64;  // of a copy in the file
  for (const SideFile& other : graph.beside) file_bytes += other.file.bytes().size();
  const uint64_t most = kGrowth * (file_bytes + 1024);
  CopyPlan plan;
  std::map<OnnxConstant::Key, size_t> by_key;
  uint64_t end = 0;
  for (const OnnxWeight& weight : weights) {
    const OnnxConstant& constant = weight.constant;
    if (!constant.transposed && !constant.scales) continue;
    const auto [found, is_new] = by_key.emplace(constant.key(), plan.copies.size());
    plan.by_name.emplace(weight.name, found->second);
    if (!is_new) continue;
    const uint64_t bytes = constant.bytes(), begin = (end + kAlignment - 1) / kAlignment * kAlignment;
    if (begin > most || bytes > most - begin)
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: {} would be {} bytes, far more than the file has; {}", where,
                              printable(weight.name), bytes, kPlainExport));
    plan.copies.push_back({&constant, begin, bytes});
    end = begin + bytes;
  }
  return plan;
}

// Errors: io.
void write_copies(const CopyPlan& plan, SpoolFile& file) {
  uint64_t end = 0;
  std::vector<std::byte> values;
  for (const CopyPlan::Copy& copy : plan.copies) {
    values.assign(copy.begin - end, std::byte{0});
    file.write(values);
    values.resize(copy.bytes);
    copy.constant->write(values.data());
    file.write(values);
    end = copy.begin + copy.bytes;
    if (copy.constant->values->mapped) release_mapped(copy.constant->values->data);
  }
}

using ExportFiles = std::vector<std::pair<std::filesystem::path, FileStamp>>;

// Files of copies that were made last. Mappings stay when a file leaves.
class LastCopies {
 public:
  // None if the file can't be made.
  std::optional<MappedFile> map(const ExportFiles& files, const CopyPlan& plan) {
    const std::lock_guard lock(mutex_);
    auto found = std::ranges::find(made_, files, &Made::first);
    try {
      if (found == made_.end()) {
        auto file = std::make_unique<SpoolFile>();
        write_copies(plan, *file);
        constexpr size_t kKept = 2;  // both sides of a comparison
        if (made_.size() == kKept) made_.pop_front();
        made_.emplace_back(files, std::move(file));
        found = std::prev(made_.end());
      }
      return found->second->map();
    } catch (const Error&) {  // no folder for temporary files, or no room
      return std::nullopt;
    }
  }

 private:
  using Made = std::pair<ExportFiles, std::unique_ptr<SpoolFile>>;
  std::mutex mutex_;
  std::deque<Made> made_;
};

}  // namespace

OnnxCopies copy_onnx_weights(const OnnxGraph& graph, std::span<const OnnxWeight> weights, uint64_t file_bytes,
                             const std::string& where) {
  static LastCopies last;
  const CopyPlan plan = plan_copies(graph, weights, file_bytes, where);
  ExportFiles files{{where, FileStamp::of(where)}};
  for (const SideFile& other : graph.beside) files.emplace_back(other.path, FileStamp::of(other.path));
  OnnxCopies copies;
  if (plan.copies.empty()) return copies;
  if (files.front().second.inode != 0) copies.file = last.map(files, plan);  // 0: bytes without a file
  std::vector<std::byte*> memory;
  if (!copies.file)
    for (const CopyPlan::Copy& copy : plan.copies) {
      copies.memory.push_back(std::make_unique_for_overwrite<std::byte[]>(copy.bytes));
      memory.push_back(copies.memory.back().get());
      copy.constant->write(memory.back());
    }
  for (const auto& [name, index] : plan.by_name) {
    const CopyPlan::Copy& copy = plan.copies[index];
    copies.data[name] = copies.file ? copies.file->bytes().subspan(copy.begin, copy.bytes)
                                    : std::span<const std::byte>(memory[index], copy.bytes);
  }
  return copies;
}

}  // namespace mlxe
