// Removing folders without memory.
#include "base/remove_tree.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "test_files.h"

namespace mlxe::test::remove_tree_test {
namespace {

namespace fs = std::filesystem;

TEST(RemoveTree, RemovesAllOfAFolderAndFollowsNoLink) {
  const TemporaryFolder folder;
  const fs::path tree = folder / "tree", kept = folder / "kept";
  write_file(kept / "file", "x");
  for (int i = 0; i < 300; ++i)  // more than one call of the system lists
    write_file(tree / ("a file with a long name, number " + std::to_string(i)), "x");
  for (const char* file : {"a/b/c/d", ".hidden/..also", "a/ "}) write_file(tree / file, "x");
  fs::create_directories(tree / "empty/empty");
  fs::create_directory_symlink(kept, tree / "a/link");
  fs::create_symlink(kept / "file", tree / "link");
  fs::create_symlink("nowhere", tree / "dangling");
  EXPECT_TRUE(remove_tree(tree.c_str()));
  EXPECT_FALSE(fs::exists(tree));
  EXPECT_EQ(read_file(kept / "file"), "x");

  EXPECT_TRUE(remove_tree(tree.c_str())) << "nothing is left of what is not there";
  EXPECT_TRUE(remove_tree((kept / "file").c_str()));
  fs::create_directory_symlink(kept, folder / "link");
  EXPECT_TRUE(remove_tree((folder / "link").c_str()));
  EXPECT_TRUE(fs::is_directory(kept));
#ifdef __linux__
  EXPECT_FALSE(remove_tree("/proc/self/status")) << "what can't be removed";
#endif
}

}  // namespace
}  // namespace mlxe::test::remove_tree_test
