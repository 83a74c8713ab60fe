// HttpServer: an HTTP/1.1 server on 127.0.0.1 that misbehaves on request.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace perch::test {

struct HttpAnswer {
  int status = 200;  ///< 206 is made of 200 when the request has a range that is honoured
  std::string body = {};
  std::string location = {};  ///< with a 3xx status
  bool honours_range = true;
  bool announces_length = true;
  std::int64_t cut_after = -1;  ///< closes the connection after so many bytes of body; -1: never
};

struct HttpRequest {
  int number = 0;  ///< 0 for the server's first
  std::string path;
  std::int64_t range_begin = -1;  ///< -1: none
};

class HttpServer {
 public:
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path = "/archive.tar.gz") const;
  std::vector<HttpRequest> requests() const;

 private:
  void serve();
  void answer(int connection);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::thread thread_;
};

}  // namespace perch::test
