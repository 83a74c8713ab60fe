// Which neighbouring layers of a model make a block. Private to fuse.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <perch/fuse/join_block.h>
#include <perch/fuse/linear_block.h>
#include <perch/layers/model.h>

namespace perch::fusion {

template <class Block>
struct Match {
  Block block;
  std::vector<std::size_t> nodes;  ///< in order; the last one's output is the block's
};

class Matcher {
 public:
  explicit Matcher(Model& model);

  /// A block that starts at a node; nothing where it would not be worth one.
  std::optional<Match<LinearBlock>> linear_block(std::size_t first) const;
  std::optional<Match<JoinBlock>> join_block(std::size_t first) const;

 private:
  /// The only reader of a node's output.
  std::optional<std::size_t> reader(std::size_t node) const;
  Member member(std::size_t node) const;
  bool take_linear(std::size_t node, LinearBlock& block) const;
  bool take_norm(std::size_t node, LinearBlock& block) const;
  template <class Block>
  bool take_activation(std::size_t node, Block& block) const;

  Model& model_;
};

}  // namespace perch::fusion
