#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include <curl/curl.h>

#include <perch/core/check.h>
#include <perch/datasets/download.h>

namespace perch::datasets {
namespace {

enum class UrlKind { https, loopback_http, other };

UrlKind kind_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return UrlKind::other;
  }
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), which, &text, 0) != CURLUE_OK) return std::string();
    const std::unique_ptr<char, decltype(&curl_free)> owner(text, curl_free);
    return std::string(text);
  };
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme == "https") return UrlKind::https;
  const std::string host = part(CURLUPART_HOST);
  const bool loopback = host == "127.0.0.1" || host == "[::1]" || host == "localhost";
  return scheme == "http" && loopback ? UrlKind::loopback_http : UrlKind::other;
}

/// One request, without redirects: those are judged before they are followed.
class Request {
 public:
  Request(const Transfer& transfer, const std::string& url, File& file)
      : transfer_(transfer), file_(file), handle_(curl_easy_init(), curl_easy_cleanup) {
    if (!handle_) fail(ErrorCode::failure, "libcurl cannot be initialised");
    begin_ = file_.size();
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "https,http");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "perch");
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(transfer.connect_timeout.count()));
    constexpr long least_bytes_per_second = 1000;
    set(CURLOPT_LOW_SPEED_LIMIT, least_bytes_per_second);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(transfer.stall_timeout.count()));
    set(CURLOPT_HEADERFUNCTION, &Request::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Request::on_data);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Request::on_progress);
    set(CURLOPT_XFERINFODATA, this);
    if (kind_of(url) == UrlKind::loopback_http) set(CURLOPT_PROXY, "");
    if (begin_ > 0) set(CURLOPT_RANGE, fmt::format("{}-", begin_).c_str());
  }

  TransferResult run() {
    const CURLcode code = curl_easy_perform(handle_.get());
    if (caught_) std::rethrow_exception(caught_);
    if (stopped_) {
      fail(ErrorCode::interrupted, "the download was stopped; run it again to continue");
    }
    if (!objection_.message.empty()) return objection_;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status_);
    const std::string reason = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
    switch (code) {
      case CURLE_OK:
        return finished();
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
      case CURLE_COULDNT_CONNECT:
      case CURLE_SSL_CONNECT_ERROR:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_PEER_FAILED_VERIFICATION:
        return {TransferEnd::unreachable, reason, received_};
      case CURLE_OPERATION_TIMEDOUT:
        if (status_ == 0) return {TransferEnd::unreachable, reason, received_};
        [[fallthrough]];
      default:
        return {TransferEnd::cut_off, reason, received_};
    }
  }

  /// Where the server sends us; empty when it does not.
  std::string redirect() const {
    char* url = nullptr;
    curl_easy_getinfo(handle_.get(), CURLINFO_REDIRECT_URL, &url);
    return url == nullptr ? "" : url;
  }

 private:
  template <class Value>
  void set(CURLoption option, Value value) {
    if (curl_easy_setopt(handle_.get(), option, value) != CURLE_OK) {
      fail(ErrorCode::failure, "libcurl does not know option {}", static_cast<int>(option));
    }
  }

  TransferResult finished() const {
    constexpr long range_not_satisfiable = 416, too_many_requests = 429, server_error = 500;
    if (status_ == 200 || status_ == 206) {
      if (file_.size() == transfer_.size) return {TransferEnd::complete, "", received_};
      return {TransferEnd::cut_off, "the server closed the connection early", received_};
    }
    if (status_ == range_not_satisfiable) {
      return {TransferEnd::wrong_file, "the file there is shorter than what is here", received_};
    }
    const std::string message = fmt::format("the server answered with HTTP status {}", status_);
    const bool passing = status_ == too_many_requests || status_ >= server_error;
    return {passing ? TransferEnd::cut_off : TransferEnd::refused, message, received_};
  }

  void read_header(std::string line) {
    std::transform(line.begin(), line.end(), line.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (line.starts_with("http/")) range_begin_ = -1;
    constexpr std::string_view range = "content-range: bytes ";
    if (line.starts_with(range)) {
      std::from_chars(line.data() + range.size(), line.data() + line.size(), range_begin_);
    }
  }

  bool object(TransferEnd end, std::string message) {
    objection_ = {end, std::move(message), received_};
    return false;
  }

  /// Before the first byte is written: does the server send what was asked for?
  bool body_begins() {
    body_begun_ = true;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status_);
    if (status_ != 200 && status_ != 206) return true;
    const std::int64_t begin = status_ == 200 ? 0 : begin_;
    if (status_ == 206 && range_begin_ != begin) {
      return object(TransferEnd::refused, "the server sends another part than was asked for");
    }
    curl_off_t length = -1;
    curl_easy_getinfo(handle_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length >= 0 && begin + length != transfer_.size) {
      return object(TransferEnd::wrong_file,
                    fmt::format("the file there has {} bytes, where {} are right", begin + length,
                                transfer_.size));
    }
    if (begin != begin_) file_.truncate(begin);
    begin_ = begin;
    return true;
  }

  bool take(const char* data, std::int64_t count) {
    if (!body_begun_ && !body_begins()) return false;
    if (status_ != 200 && status_ != 206) return true;  // an error page
    if (begin_ + received_ + count > transfer_.size) {
      return object(TransferEnd::wrong_file,
                    fmt::format("the file there has more than the right {} bytes", transfer_.size));
    }
    file_.write(data, count);
    received_ += count;
    return true;
  }

  // libcurl is C: no exception may pass through it.
  template <class Body>
  bool guarded(const Body& body) noexcept {
    try {
      return body();
    } catch (...) {
      caught_ = std::current_exception();
      return false;
    }
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t count, void* self) {
    auto& request = *static_cast<Request*>(self);
    const bool good = request.guarded([&] {
      request.read_header(std::string(data, count));
      return true;
    });
    return good ? count : 0;
  }
  static std::size_t on_data(char* data, std::size_t, std::size_t count, void* self) {
    auto& request = *static_cast<Request*>(self);
    const bool good =
        request.guarded([&] { return request.take(data, static_cast<std::int64_t>(count)); });
    return good ? count : 0;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& request = *static_cast<Request*>(self);
    if (!request.transfer_.progress) return 0;
    const bool good = request.guarded([&] {
      request.stopped_ = !request.transfer_.progress(request.begin_ + request.received_);
      return !request.stopped_;
    });
    return good ? 0 : 1;
  }

  const Transfer& transfer_;
  File& file_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::int64_t begin_ = 0;         // where in the file this answer starts
  std::int64_t range_begin_ = -1;  // where the server says that it starts
  std::int64_t received_ = 0;
  long status_ = 0;
  bool body_begun_ = false, stopped_ = false;
  TransferResult objection_{};
  std::exception_ptr caught_;
};

}  // namespace

void check_url(const std::string& url) {
  PERCH_CHECK(kind_of(url) != UrlKind::other,
              "{}: give an https:// URL (http:// is allowed on 127.0.0.1, [::1] and localhost)",
              url);
}

TransferResult transfer(const Transfer& request, File& file) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  check_url(request.url);
  const bool loopback_allowed = kind_of(request.url) == UrlKind::loopback_http;
  constexpr int most_redirects = 5;
  std::string url = request.url;
  for (int i = 0; i <= most_redirects; ++i) {
    Request attempt(request, url, file);
    TransferResult result = attempt.run();
    const std::string next = attempt.redirect();
    if (next.empty()) return result;
    const UrlKind kind = kind_of(next);
    if (kind == UrlKind::other || (kind == UrlKind::loopback_http && !loopback_allowed)) {
      return {TransferEnd::refused, fmt::format("it redirects to {}, which is not https", next)};
    }
    url = next;
  }
  return {TransferEnd::refused, fmt::format("it redirects more than {} times", most_redirects)};
}

}  // namespace perch::datasets
